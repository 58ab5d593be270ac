from __future__ import annotations

import json
import random

import pytest

from gateway.rules import Engine
from gateway.rules.outputs import Derived, SideEvent
from tests.harness.rule_files import complaints
from tests.harness.rule_runs import Tape, engine_of, rules_of, save, steps

SIZE, LATENESS = 10_000, 7_000
RULE = """
- id: r
  from: plant/+
  key: device
  time: {by: event, field: payload.ts%s}
  window: {%s, allowed_lateness: 7s}
  aggregate: {n: count(), mean: avg(payload.x), p: median(payload.x), s: stddev(payload.x)}
  emit: {stream: out, on: window}
"""
WINDOWS = {
    "tumbling: 10s": (10_000, 10_000, 0),
    "tumbling: 10s, offset: 3s": (10_000, 10_000, 3_000),
    "hopping: 10s, every: 4s": (10_000, 4_000, 0),
}


def feed(engine, tape, events):
    found = []
    for number, (time_ms, x) in enumerate(events):
        found += engine.feed(tape.event({"ts": time_ms, "x": x}, arrival=number + 1))
    return found


def records(outputs):
    return [json.loads(output.payload) for output in outputs if isinstance(output, Derived)]


def history(seed, length=220):
    """Events of which some come late, a few of them too late."""
    rng, now_ms, events = random.Random(seed), 100_000, []
    for _ in range(length):
        now_ms += rng.choice([0, 300, 900, 2_000, 2_000, 6_000])
        late_ms = rng.choice([0, 0, 0, 500, 3_000, 9_000, 14_000, 30_000])
        events.append((now_ms - late_ms, rng.randint(-50, 50)))
    return events


class Twin:
    """By definition: each event changes every window that is over, but not for too long."""

    def __init__(self, size, every, offset):
        self.size, self.every, self.offset = size, every, offset
        self.told, self.taken, self.late, self.counts, self.watermark = [], [], [], {}, 0

    def ends(self, after, until):
        first = after - (after - self.offset - self.size) % self.every
        return [end for end in range(first, until + 1, self.every) if after < end <= until]

    def tell(self, end):
        held = [x for time_ms, x in self.taken if end - self.size <= time_ms < end]
        if held:
            self.counts[end] = self.counts.get(end, -1) + 1
            self.told.append((end, self.counts[end], len(held), sum(held)))

    def take(self, time_ms, x):
        holding = self.ends(time_ms, time_ms + self.size)
        over = []
        if time_ms >= self.watermark:
            for end in self.ends(self.watermark or time_ms, time_ms):
                self.tell(end)
            self.watermark = time_ms
        elif all(end <= self.watermark - LATENESS for end in holding):
            self.late.append(time_ms)
            return
        else:
            over = [end for end in holding if self.watermark - LATENESS < end <= self.watermark]
        self.taken.append((time_ms, x))
        for end in over:
            self.tell(end)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("seed", range(4))
def test_each_result_is_that_of_a_window_computed_anew(window, seed):
    events = history(f"{window} {seed}")
    outputs = feed(engine_of(RULE % ("", window)), Tape(), events)
    twin = Twin(*WINDOWS[window])
    for event in events:
        twin.take(*event)
    found = records(outputs)
    assert [
        (one["ts"], one.get("revision", 0), one["n"], pytest.approx(one["mean"] * one["n"]))
        for one in found
    ] == twin.told
    assert any(revision > 1 for _, revision, _, _ in twin.told)
    aside = [json.loads(o.payload)["ts"] for o in outputs if isinstance(o, SideEvent)]
    assert aside == twin.late != []


@pytest.mark.parametrize("window", WINDOWS)
def test_when_all_have_come_the_last_results_are_those_of_events_in_order(window):
    rng = random.Random(window)
    ordered = [(100_000 + place * 1_000, rng.randint(0, 9)) for place in range(120)]
    shuffled = sorted(ordered, key=lambda event: event[0] + rng.randint(0, 6_000))
    shuffled.append((300_000, 0))
    ordered.append((300_000, 0))
    late = records(feed(engine_of(RULE % ("", window)), Tape(), shuffled))
    punctual = records(feed(engine_of(RULE % ("", window)), Tape(), ordered))
    last = {one["ts"]: {**one, "revision": 0} for one in late}
    assert [last[one["ts"]] for one in punctual] == [{**one, "revision": 0} for one in punctual]
    assert len(late) > len(punctual)


@pytest.mark.parametrize("window", WINDOWS)
def test_a_restart_changes_nothing(window):
    text, events = RULE % (", out_of_order: 1s", window), history(f"restart {window}")
    wanted = feed(engine_of(text), Tape(), events)
    tape, table, found = Tape(), {}, []
    engine = Engine(rules_of(text))
    for start in range(0, len(events), 23):
        for number, (time_ms, x) in enumerate(events[start : start + 23], start):
            found += engine.feed(tape.event({"ts": time_ms, "x": x}, arrival=number + 1))
        save(engine, table)
        engine = Engine(rules_of(text))
        assert engine.restore(sorted(table.items())) == []
    assert found == wanted


def test_a_correction_changes_no_alarm():
    text = """
- id: r
  from: plant/+
  key: device
  time: {by: event, field: payload.ts}
  window: {tumbling: 10s, allowed_lateness: 20s}
  aggregate: {n: count()}
  when: n >= 2
"""
    events = [(1_000, 1), (12_000, 1), (2_000, 1), (13_000, 1), (25_000, 1), (26_000, 1)]
    assert steps(feed(engine_of(text), Tape(), events)) == [("raised", 20_000)]


def test_a_late_event_of_a_window_that_is_still_open_is_simply_taken():
    events = [(101_000, 1), (108_000, 2), (103_000, 6), (111_000, 0)]
    (found,) = records(feed(engine_of(RULE % ("", "tumbling: 10s")), Tape(), events))
    assert (found["n"], found["mean"], "revision" in found) == (3, 3.0, False)


def test_a_window_that_was_empty_is_told_for_the_first_time_late():
    events = [(95_000, 1), (112_000, 1), (105_000, 7), (106_000, 9)]
    found = records(feed(engine_of(RULE % ("", "tumbling: 10s")), Tape(), events))
    assert [(one["ts"], one["n"], one.get("revision")) for one in found] == [
        (100_000, 1, None),
        (110_000, 1, None),
        (110_000, 2, 1),
    ]


def test_the_late_bound_of_the_rule_comes_first():
    rule = RULE % (", late: 2s", "tumbling: 10s")
    engine, tape = engine_of(rule), Tape()
    engine.feed(tape.event({"ts": 111_000, "x": 1}, arrival=111_000))
    outputs = engine.feed(tape.event({"ts": 108_000, "x": 1}, arrival=111_000))
    assert [type(output) for output in outputs] == [SideEvent]


def test_samples_are_bounded_and_what_is_lost_is_counted():
    rule = (RULE % ("", "tumbling: 10s")) + "  state: {max_samples: 5}\n"
    engine = engine_of(rule)
    feed(engine, Tape(), [(100_000 + n, n) for n in range(20)])
    assert engine.counters["r"].cut_samples == 15


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("window: {sliding: 5m, allowed_lateness: 1m}", "'allowed_lateness' is for tumbling and"),
        (
            "time: {by: event, field: ts, late_policy: adjust}, "
            "window: {tumbling: 5m, allowed_lateness: 1m}",
            "'late_policy: adjust' leaves nothing for 'allowed_lateness'",
        ),
        (
            "join: {with: {b: u}, within: 1m}, window: {tumbling: 5m, allowed_lateness: 1m}",
            "'allowed_lateness' and 'join' in one rule",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(rest, message):
    found = complaints(
        f"- {{id: a, from: t, {rest}, aggregate: {{n: count()}}, emit: {{stream: s, on: window}}}}"
    )
    assert any(message in complaint for complaint in found), found
