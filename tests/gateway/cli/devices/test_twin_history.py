from __future__ import annotations

import random

import pytest

from gateway.cli.devices import twin_history
from gateway.cli.devices.twin_history import changes_of, past_twin
from gateway.devices import TwinEvent
from tests.harness.device_services import Bench

DEVICES = ("a", "b")


async def test_a_past_twin_is_what_a_replay_of_every_change_makes(monkeypatch):
    monkeypatch.setattr(twin_history, "WINDOW_RECORDS", 7)
    bench, chance = await Bench().open(), random.Random(3)
    for number in range(60):
        part = chance.choice(["desired", "desired", "reported", "tags", "removed"])
        value = {} if part == "removed" else {"n": number}
        event = TwinEvent(part, number, value, value, "x", number)
        await bench.publish(f"twin/{chance.choice(DEVICES)}/changed", event.encode())
        await bench.publish("twin/a/reported", b"{}")
    for device in DEVICES:
        replayed = {}
        changes = dict([found async for found in changes_of(bench.store, device)])
        for offset in range(120):
            event = changes.get(offset)
            if event is not None and event.part == "removed":
                replayed = {}
            elif event is not None:
                replayed[event.part] = event.value
            past = await past_twin(bench.store, device, offset + 1)
            assert {part: past.value(part) for part in past.events} == replayed


@pytest.mark.parametrize("stop_offset", [0, 5])
async def test_a_twin_that_never_was_is_empty(stop_offset):
    bench = await Bench().open()
    past = await past_twin(bench.store, "a", stop_offset)
    assert (past.value("desired"), past.version("desired")) == ({}, 0)
