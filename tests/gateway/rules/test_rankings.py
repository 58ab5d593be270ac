from __future__ import annotations

import json
import random
from collections import defaultdict

import pytest

from gateway.errors import DocumentInvalid
from gateway.rules import Derived
from tests.harness.rule_runs import Tape, encoded, engine_of, rules_of, save

RULE = """
- id: best
  from: plant/+
  time: {by: event, field: payload.ts, out_of_order: 50ms%s}
  window: {tumbling: 100ms}
  aggregate: {kw: sum(payload.kw), hall: last(payload.hall)}
  emit: {stream: best, on: window, rank: {by: kw, take: 2%s}}
"""


def told(outputs):
    records = [(one.key, json.loads(one.payload)) for one in outputs if isinstance(one, Derived)]
    return [(one["ts"], one["rank"], key, one["kw"]) for key, one in records]


def feed(engine, tape, *events):
    found = []
    for device, time_ms, kw, *hall in events:
        payload = {"ts": time_ms, "kw": kw, "hall": hall[0] if hall else 1}
        found += engine.feed(
            tape.event(payload, device=device, topic=f"plant/{device}", arrival=time_ms)
        )
    return found


EVENTS = [("a", 10, 3), ("b", 20, 5), ("c", 30, 4), ("a", 40, 3), ("b", 250, 1)]


def test_the_best_keys_of_each_window_are_emitted_the_best_first():
    engine, tape = engine_of(RULE % ("", "")), Tape()
    assert told(feed(engine, tape, *EVENTS)) == [(100, 1, "a", 6), (100, 2, "b", 5)]


def test_the_least_come_first_where_that_is_asked_for():
    engine, tape = engine_of(RULE % ("", ", order: asc")), Tape()
    assert told(feed(engine, tape, *EVENTS)) == [(100, 1, "c", 4), (100, 2, "b", 5)]


def test_each_group_has_its_best():
    engine, tape = engine_of(RULE % ("", ", per: hall")), Tape()
    events = [("a", 10, 3, 2), ("b", 20, 5, 1), ("c", 30, 4, 2), ("d", 31, 1, 2), ("b", 250, 1)]
    assert told(feed(engine, tape, *events)) == [
        (100, 1, "b", 5),
        (100, 1, "c", 4),
        (100, 2, "a", 3),
    ]


def test_it_waits_for_every_partition_or_for_the_clock():
    engine, tape = engine_of(RULE % (", idle: 30ms", "")), Tape(partitions=2)
    assert told(feed(engine, tape, ("a", 10, 3), ("b", 20, 5))) == []
    ahead = tape.event({"ts": 250, "kw": 1}, device="a", topic="plant/a", arrival=25)
    assert told(engine.feed(ahead)) == []
    # Partition b has come to 20 ms less 50 ms, and goes on from there 30 ms after its last event.
    assert told(engine.feed(tape.tick(20 + 30 + 129))) == []
    assert engine.next_tick_ms() == 20 + 30 + 130
    assert told(engine.feed(tape.tick(20 + 30 + 130))) == [(100, 1, "b", 5), (100, 2, "a", 3)]


def test_a_partition_that_comes_after_the_ranking_is_left_out_of_it():
    engine, tape = engine_of(RULE % ("", "")), Tape(partitions=2)
    assert len(told(feed(engine, tape, ("a", 10, 3), ("a", 250, 1)))) == 1
    assert told(feed(engine, tape, ("b", 20, 5), ("b", 260, 5))) == []
    assert engine.counters["best"].late == 1


def test_by_arrival_the_clock_ends_a_moment():
    engine, tape = engine_of(RULE.replace("by: event", "by: arrival") % ("", "")), Tape()
    feed(engine, tape, ("a", 10, 3), ("b", 20, 5))
    assert told(engine.feed(tape.tick(100))) == [(100, 1, "b", 5), (100, 2, "a", 3)]


@pytest.mark.parametrize("seed", range(6))
def test_it_is_what_sorting_finds_whenever_it_is_restored(seed):
    pick, text = random.Random(seed), RULE % ("", ", per: hall")
    events = [
        (pick.choice("abcdef"), n * 7, pick.randint(0, 5), pick.randint(0, 2)) for n in range(150)
    ]
    sums, halls = defaultdict(int), {}
    for device, time_ms, kw, hall in events:
        sums[time_ms // 100 * 100 + 100, device] += kw
        halls[time_ms // 100 * 100 + 100, device] = hall
    groups = defaultdict(list)
    for (end_ms, device), kw in sums.items():
        groups[end_ms, halls[end_ms, device]].append((-kw, device))
    last = 150 * 7 // 100 * 100
    wanted = [
        (end_ms, place, device, -order)
        for (end_ms, _), found in sorted(groups.items())
        if end_ms <= last
        for place, (order, device) in enumerate(sorted(found)[:2], 1)
    ]
    events.sort(key=lambda event: event[1] + pick.randint(0, 50))
    events += [(device, 5_000, 0, 0) for device in "abcdef"]
    engine, tape, table, found = engine_of(text), Tape(partitions=2), {}, []
    whole = engine_of(text)
    for number, event in enumerate(events):
        outputs = feed(engine, tape, event)
        assert [encoded(one) for one in whole.feed(tape.batches[-1:])] == [
            encoded(one) for one in outputs
        ]
        found += told(outputs)
        if number % 7 == seed:
            save(engine, table)
            engine = engine_of(text)
            assert engine.restore(sorted(table.items())) == []
    assert [one for one in found if one[0] <= last] == wanted


@pytest.mark.parametrize(
    ("parts", "wrong"),
    [
        ("window: {sliding: 1m}, aggregate: {n: count()}, emit: {on: window, R}", "tumbling or"),
        ("when: payload.x > 1, emit: {R}", "tumbling or hopping"),
        (
            "window: {tumbling: 1m, allowed_lateness: 1s}, aggregate: {n: count()}, emit: {R}",
            "leave out 'allowed_lateness'",
        ),
    ],
)
def test_what_has_no_common_moments_is_refused(parts, wrong):
    emit = "stream: s, rank: {by: payload.x, take: 1}"
    with pytest.raises(DocumentInvalid, match=wrong):
        rules_of(f"- {{id: r, from: a, {parts.replace('R', emit)}}}")
