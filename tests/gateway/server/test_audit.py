from __future__ import annotations

import orjson
import pytest

from gateway.clock import ManualClock
from gateway.server.audit import AGAIN_MS, Audit, Incident


@pytest.fixture
def clock():
    return ManualClock(10**12)


@pytest.fixture
def runs():
    return []


def contents(runs):
    return [orjson.loads(run.payloads[0]) for run in runs]


def test_an_incident_is_an_event_about_its_name(runs, clock):
    audit = Audit(runs.extend, clock, 50)
    audit.note(Incident("cut", "p-7", "192.0.2.1", "p-7/x", "", "disabled"))
    (run,) = runs
    assert (run.stream, run.origins[0]) == ("audit", ("audit/cut/p-7", "p-7"))
    assert contents(runs)[0]["reason"] == "disabled"


def test_the_same_is_said_once_a_minute_with_how_often_it_was(runs, clock):
    audit = Audit(runs.extend, clock, 50)
    for _ in range(10):
        audit.note(Incident("cut", "p-7", "h"))
    clock.advance(AGAIN_MS)
    audit.note(Incident("cut", "p-7", "h"))
    assert [one["left_out"] for one in contents(runs)] == [0, 9]


def test_a_flood_is_cut_off(runs, clock):
    audit = Audit(runs.extend, clock, 5)
    for number in range(100):
        audit.note(Incident("cut", str(number), "h"))
    assert (len(runs), audit.incidents) == (5, 100)


def test_a_name_is_one_level_of_a_topic(runs, clock):
    audit = Audit(runs.extend, clock, 50)
    audit.note(Incident("cut", "a/+/#" + "x" * 500, "h"))
    audit.note(Incident("cut", "", "h"))
    topics = [run.origins[0].topic for run in runs]
    assert topics[0].startswith("audit/cut/a____x")
    assert len(topics[0]) < 150
    assert topics[1] == "audit/cut/unknown"
