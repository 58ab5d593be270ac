from __future__ import annotations

from tests.harness.rule_runs import Tape, engine_of, steps

RULE = """
- id: r
  from: plant/+
  key: device
  %s
"""


def feed(text, *events):
    engine, tape, found = engine_of(RULE % text.replace("\n", "\n  ")), Tape(), []
    for arrival, payload in events:
        found += engine.feed(tape.event(payload, arrival=arrival))
    return engine, tape, found


def test_where_lets_an_event_pass_only_when_it_is_true():
    text = (
        "where: payload.kind == 'a'\nwindow: {count: 2}\n"
        "aggregate: {n: sum(payload.x)}\nwhen: n > 5"
    )
    _, _, found = feed(
        text,
        (1, {"kind": "a", "x": 3}),
        (2, {"kind": "b", "x": 9}),
        (3, {"x": 9}),
        (4, {"kind": "a", "x": 3}),
    )
    assert steps(found) == [("raised", 4)]


def test_lets_and_memories_are_computed_in_the_order_in_which_they_need_each_other():
    text = "let: {double: payload.x * 2, sum: double + 1}\nwhen: changed(sum > 10) && sum > 10"
    _, _, found = feed(text, (1, {"x": 1}), (2, {"x": 9}), (3, {"x": 9}))
    assert steps(found) == [("raised", 2), ("cleared", 3)]


def test_since_counts_from_the_last_time_it_was_true():
    text = "when: since(payload.door == 'open') > 60"
    _, _, found = feed(
        text, (0, {"door": "open"}), (60_000, {}), (60_001, {}), (70_000, {"door": "open"})
    )
    assert steps(found) == [("raised", 60_001), ("cleared", 70_000)]


def test_prev_is_the_event_before_that_passed():
    text = "where: payload.x > 0\nwhen: payload.x > prev.payload.x && ts - prev.ts < 50"
    _, _, found = feed(text, (0, {"x": 5}), (10, {"x": -1}), (20, {"x": 6}), (100, {"x": 7}))
    assert steps(found) == [("raised", 20), ("cleared", 100)]


def test_by_a_timer_the_message_tells_of_the_last_event_and_the_last_window():
    text = (
        "window: {sliding: 1m}\naggregate: {m: avg(payload.x)}\nwhen: m > 5\nfor: 10s\n"
        'let: {twice: payload.x * 2}\nalarm: {message: "{m} {payload.x} {twice} {topic}"}'
    )
    engine, tape, found = feed(text, (0, {"x": 8}), (5_000, {"x": 6}))
    assert found == []
    (raised,) = engine.feed(tape.tick(10_000))
    assert raised.message in {"7 6 12 plant/m1", "7.0 6 12 plant/m1"}
    assert raised.reason == "m > 5 for 10s: m = 7"
