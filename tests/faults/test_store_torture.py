"""Some of the crashes of `python -m tests.faults.store_torture`; it would see a fault, too."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import StoreError
from tests.faults.store_torture import PromiseBroken, Recording, crash, drawn, record, torture
from tests.harness.disk_trace import NO_COMPILER, Crash, Kind, built_tracer

SEEDS = range(160)
RECORDED_SEED = 1

pytestmark = pytest.mark.skipif(built_tracer() is None, reason=NO_COMPILER)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return record(RECORDED_SEED, tmp_path_factory.mktemp("recording"))


def test_no_crash_breaks_a_promise(tmp_path):
    assert asyncio.run(torture(SEEDS, tmp_path)).total() == len(SEEDS)


def test_every_point_has_its_turn(recording):
    points = {drawn(recording, seed)[0] for seed in range(4 * len(recording.steps))}
    pointless = ("marks", "penstock.lock", "penstock.reserve", "penstock.db-shm")
    steps = enumerate(recording.steps)
    assert points == {number for number, own in steps if own.name not in pointless}


@pytest.mark.parametrize("name", ["penstock.db-wal", "penstock.db"])
def test_a_log_that_does_not_sync_is_found_out(tmp_path, recording, name):
    hasty = [own for own in recording.steps if own.name != name or own.kind is not Kind.sync]
    with pytest.raises((PromiseBroken, StoreError)):
        for seed in range(400):
            asyncio.run(crash(Recording(hasty, is_loose=False), seed, tmp_path))


def test_a_log_that_acknowledges_too_soon_is_found_out(tmp_path, recording):
    marks = [own for own in recording.steps if own.name == "marks"]
    others = [own for own in recording.steps if own.name != "marks"]
    early = [*marks, *others]
    with pytest.raises((PromiseBroken, StoreError)):
        for seed in range(8):
            asyncio.run(crash(Recording(early, is_loose=False), seed, tmp_path))


def test_kinds_of_crashes_take_turns(recording):
    assert {drawn(recording, seed)[1] for seed in range(len(Crash))} == set(Crash)
