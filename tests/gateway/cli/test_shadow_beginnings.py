from __future__ import annotations

import pytest

from gateway.cli.shadow_beginnings import LookupUnreadable, find_beginning, resume
from gateway.clock import ManualClock
from gateway.errors import UnknownStream
from gateway.events import Origin, RecordBatch, Run
from gateway.rules import Engine, load_rules, parse_rules
from gateway.store import Place, Put, StoreOptions, StreamSpec, open_store

START_MS = 1_700_000_000_000
RULES = """
version: 1
rules:
  - {id: hot, from: plant/+, when: payload.x > 5}
"""


def run_of(stream, time_ms, payload=b'{"x": 9}'):
    return Run(stream, 0, "c", time_ms, [Origin("plant/m1", "m1")], [payload], b"\x00")


@pytest.fixture
async def store(tmp_path):
    """Ten records and alerts a second apart, five of other streams."""
    found = await open_store(StoreOptions(data_dir=tmp_path), ManualClock(START_MS))
    for name in ("telemetry", "alerts", "others", "ticks", "lookups"):
        await found.ensure(StreamSpec(name, partitions=1))
    for number in range(10):
        time_ms = START_MS + number * 1_000
        await found.append([run_of("telemetry", time_ms), run_of("alerts", time_ms, b"{}")])
    await found.append([run_of("others", START_MS)] * 5)
    await found.append([run_of("lookups", START_MS)] * 3)
    yield found
    await found.close()


async def save(store, offset, puts=()):
    """What a checkpoint of the running rules leaves."""
    await store.ensure(StreamSpec("derived", partitions=1))
    await store.append([run_of("derived", START_MS + 20_000)] * 9)
    offsets = {("telemetry", 0): offset, ("derived", 0): 7}
    await store.commit_group("rules", 1, state=puts, offsets=offsets)


async def test_without_any_rules_it_begins_with_what_comes(store):
    found = await find_beginning(store, (), None)
    assert found.positions[("telemetry", 0)] == found.positions[("alerts", 0)] == 10
    assert ("others", 0) not in found.positions


async def test_rules_that_were_never_saved_have_read_from_the_beginning(store):
    await store.append([], [Put("rules", "mark", b"x")])
    found = await find_beginning(store, (), None)
    assert found.positions[("telemetry", 0)] == found.positions[("alerts", 0)] == 0


async def test_it_goes_on_where_the_running_rules_were_saved(store):
    await save(store, 6, [Put("rules", "engine", b"state")])
    found = await find_beginning(store, (), None)
    assert found.positions[("telemetry", 0)] == 6
    assert found.positions[("alerts", 0)] == 6  # those that are as old as what is read
    assert found.positions[("lookups", 0)] == 0
    assert found.entries == [("engine", b"state")]
    assert [found.holds("telemetry", 0, offset) for offset in (5, 6)] == [False, True]
    assert [found.holds("derived", 0, offset) for offset in (6, 7)] == [False, True]
    assert found.holds("unheard-of", 0, 0)


async def test_a_stream_that_the_running_rules_do_not_read_is_read_from_now_on(store):
    await save(store, 6)
    found = await find_beginning(store, ("telemetry", "others"), None)
    assert found.positions[("others", 0)] == 5
    with pytest.raises(UnknownStream):
        await find_beginning(store, ("other",), None)


async def test_a_place_is_chosen_with_nothing_remembered(store):
    await save(store, 6, [Put("rules", "engine", b"state")])
    found = await find_beginning(store, ("telemetry",), Place("time", START_MS + 3_000))
    assert found.positions[("telemetry", 0)] == found.positions[("alerts", 0)] == 3
    assert (found.entries, found.basis) == ((), "nothing remembered")


async def test_the_alarms_that_are_up_are_raises(store):
    rules = parse_rules(RULES)
    engine = Engine(rules.rules)
    engine.feed([RecordBatch("telemetry", 0, 0, 1, [run_of("telemetry", START_MS)])])
    entries = [Put("rules", *entry) for entry in engine.snapshot()]
    await save(store, 1, entries)
    found = await find_beginning(store, (), None)
    (step,) = resume(Engine(rules.rules), rules, found)
    assert step[:4] == ("hot", "m1", "raised", START_MS)
    assert found.basis == "the state of the running rules"


async def test_what_rules_look_up_must_be_readable(store, tmp_path):
    (tmp_path / "limits.csv").write_text("device,limit\nm1,5\n")
    (tmp_path / "rules.yaml").write_text(LOOKS_UP)
    rules = load_rules([tmp_path / "rules.yaml"])
    found = await find_beginning(store, (), None)
    engine = Engine(rules.rules)
    assert resume(engine, rules, found) == []
    assert engine.versions["limits"].rows
    (tmp_path / "limits.csv").unlink()
    with pytest.raises(LookupUnreadable, match="'limits' can't be read"):
        resume(Engine(rules.rules), rules, found)


LOOKS_UP = """
version: 1
lookups:
  limits: {file: limits.csv, key: device}
rules:
  - id: hot
    from: plant/+
    enrich: {own: "limits[device]"}
    when: payload.x > own.limit
"""
