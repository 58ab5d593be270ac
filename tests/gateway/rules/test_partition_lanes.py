from __future__ import annotations

import random

import pytest

from gateway.rules import Engine, SideEvent
from tests.harness.rule_runs import (
    MANY,
    Tape,
    encoded,
    engine_of,
    rules_of,
    save,
    story,
    transitions,
)

BY_PARTITION = MANY.replace("idle: 50ms}", "idle: 50ms, watermark: partition}")


def rule(body, **time):
    spelt = ", ".join(f"{name}: {value}" for name, value in time.items())
    spelt = f"{{by: event, field: payload.ts, watermark: partition{', ' if spelt else ''}{spelt}}}"
    return f"- {{id: r, from: plant/+, time: {spelt}, {body}}}"


COUNTED = "window: {tumbling: 100ms}, aggregate: {n: count()}, when: n > 0"


def feed(engine, tape, *events):
    """Feed (device, event time) pairs, each arriving when it happens."""
    found = []
    for device, time_ms in events:
        found += engine.feed(
            tape.event({"ts": time_ms, "x": 9}, device=device, topic=f"plant/{device}", arrival=5)
        )
    return found


def test_a_silent_key_goes_on_with_its_neighbours_and_no_others():
    engine, tape = engine_of(rule(COUNTED)), Tape(partitions=2)  # `a` and `c` share a partition
    assert feed(engine, tape, ("a", 10), ("b", 500)) == []
    assert transitions(feed(engine, tape, ("c", 130))) == [("r", "a", "raised", 100)]


def test_a_key_behind_its_neighbours_is_late():
    engine, tape = engine_of(rule(COUNTED)), Tape(partitions=2)
    (side,) = feed(engine, tape, ("a", 1_000), ("c", 900))
    assert isinstance(side, SideEvent)
    assert feed(engine, tape, ("b", 900)) == []
    assert engine.counters["r"].late == 1


def test_what_reads_several_partitions_waits_for_the_slowest():
    engine, tape = engine_of(rule(f"key: [], {COUNTED}")), Tape(partitions=2)
    assert feed(engine, tape, ("a", 10), ("b", 20), ("a", 500)) == []
    assert transitions(feed(engine, tape, ("b", 90), ("b", 130))) == [("r", "", "raised", 100)]


def test_a_partition_that_is_silent_goes_on_with_the_clock():
    engine, tape = engine_of(rule(f"key: [], {COUNTED}", idle="50ms")), Tape(partitions=2)
    assert feed(engine, tape, ("a", 10), ("b", 20), ("a", 500)) == []
    due_ms = engine.next_tick_ms()
    assert due_ms == 5 + 50 + 80
    assert engine.feed(tape.tick(due_ms - 1)) == []
    assert transitions(engine.feed(tape.tick(due_ms))) == [("r", "", "raised", 100)]


def test_keys_are_moved_in_the_order_of_time():
    engine, tape = engine_of(rule("when: payload.x > 5, for: 50ms")), Tape()
    found = feed(engine, tape, ("c", 10), ("b", 20), ("a", 30), ("d", 500))
    assert transitions(found) == [
        ("r", "c", "raised", 60),
        ("r", "b", "raised", 70),
        ("r", "a", "raised", 80),
    ]


@pytest.mark.parametrize("every", [1, 7, 60])
def test_a_restored_engine_continues_byte_for_byte(every):
    batches = story(every)
    whole = [encoded(output) for output in Engine(rules_of(BY_PARTITION)).feed(batches)]
    assert len(whole) > 100
    engine, table, found = Engine(rules_of(BY_PARTITION)), {}, []
    for number, batch in enumerate(batches):
        found += [encoded(output) for output in engine.feed([batch])]
        if number % every == 0:
            save(engine, table)
            engine = Engine(rules_of(BY_PARTITION))
            assert engine.restore(sorted(table.items())) == []
    assert found == whole


TWINS = """
- id: windows
  from: plant/+
  time: {by: event, field: payload.ts, out_of_order: 300ms, watermark: %s}
  window: {tumbling: 60ms}
  aggregate: {m: avg(payload.x)}
  when: m > 5
- id: waits
  from: plant/+
  time: {by: event, field: payload.ts, out_of_order: 300ms, watermark: %s}
  when: payload.x > 5
  for: 40ms
"""


@pytest.mark.parametrize("seed", range(8))
def test_where_nothing_is_late_each_key_fares_as_on_a_time_of_its_own(seed):
    pick = random.Random(seed)
    events = [(pick.choice("abcd"), n * 10, pick.randint(0, 10)) for n in range(200)]
    events.sort(key=lambda event: event[1] + pick.randint(0, 250))
    last = max(time_ms for _, time_ms, _ in events)
    events += [(device, last + 1_000, 0) for device in "abcd"]
    found = []
    for watermark in ("key", "partition"):
        engine, tape = engine_of(TWINS % (watermark, watermark)), Tape(partitions=2)
        outputs = []
        for device, time_ms, x in events:
            outputs += engine.feed(
                tape.event({"ts": time_ms, "x": x}, device=device, topic=f"plant/{device}")
            )
        assert engine.counters["windows"].late == 0
        found.append(
            [one for one in sorted(transitions(outputs), key=lambda one: one[:2]) if one[3] <= last]
        )
    assert found[0] == found[1] != []
