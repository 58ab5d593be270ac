from __future__ import annotations

import json

import pytest

from gateway.errors import DocumentInvalid
from gateway.rules import Derived, Engine, check_streams, parse_rules
from tests.harness.rule_files import complaints
from tests.harness.rule_runs import Tape, engine_of, rules_of, save, steps

BY_EVENT = "time: {by: event, field: payload.ts}"


def emitted(outputs):
    """What was emitted, as (stream, key, record)."""
    return [(o.stream, o.key, json.loads(o.payload)) for o in outputs if isinstance(o, Derived)]


def run(rules, events):
    """Feed (time, payload) pairs of one device; what comes out."""
    engine, tape, found = engine_of(rules), Tape(), []
    for time_ms, payload in events:
        found += engine.feed(tape.event({"ts": time_ms, **payload}, arrival=time_ms))
    return found


def test_a_window_emits_its_result_with_the_time_of_its_end():
    rule = (
        f"- {{id: m, from: plant/+, key: device, {BY_EVENT}, window: {{tumbling: 1s}}, "
        "aggregate: {n: count(), top: max(payload.x)}, emit: {stream: per-s}}"
    )
    found = run(rule, [(0, {"x": 1}), (999, {"x": 5}), (1_000, {"x": 2}), (2_500, {"x": 3})])
    assert emitted(found) == [
        ("per-s", "m1", {"ts": 1_000, "n": 2, "top": 5}),
        ("per-s", "m1", {"ts": 2_000, "n": 1, "top": 2}),
    ]
    (first, _) = found
    assert (first.topic, first.device, first.detected_ms) == ("derived/per-s/m1", "m1", 1_000)
    assert first.id == "m:m1@telemetry:0:2:0"


def test_a_sliding_window_emits_with_each_event_and_when_one_leaves():
    rule = (
        f"- {{id: m, from: plant/+, key: device, {BY_EVENT}, window: {{sliding: 1s}}, "
        "aggregate: {s: sum(payload.x)}, emit: {stream: sums}}"
    )
    found = emitted(run(rule, [(0, {"x": 1}), (500, {"x": 5}), (1_200, {"x": 2})]))
    assert [(one["ts"], one["s"]) for _, _, one in found] == [
        (0, 1),
        (500, 6),
        (1_000, 5),
        (1_200, 7),
    ]


def test_what_is_unknown_is_null_and_nothing_known_is_nothing_emitted():
    rule = (
        f"- {{id: m, from: plant/+, key: device, {BY_EVENT}, let: {{double: payload.x * 2}}, "
        "emit: {stream: doubles, fields: {double: double, y: payload.y}}}"
    )
    found = run(rule, [(1, {"x": 2}), (2, {"x": "?"}), (3, {"y": 4})])
    assert [record for _, _, record in emitted(found)] == [
        {"ts": 1, "double": 4, "y": None},
        {"ts": 3, "double": None, "y": 4},
    ]


def test_a_filter_passes_its_events_on():
    rule = (
        f"- {{id: big, from: plant/+, key: device, {BY_EVENT}, where: payload.x > 3, "
        "emit: {stream: big}}"
    )
    found = run(rule, [(1, {"x": 2}), (2, {"x": 4, "unit": "C"})])
    assert emitted(found) == [("big", "m1", {"ts": 2, "x": 4, "unit": "C"})]


def test_a_condition_emits_when_it_becomes_true_and_raises_no_alarm_by_itself():
    rule = (
        f"- {{id: hot, from: plant/+, key: device, {BY_EVENT}, when: payload.x > 5, "
        "emit: {stream: heat, fields: {x: payload.x}}}"
    )
    found = run(rule, [(1, {"x": 6}), (2, {"x": 7}), (3, {"x": 1}), (4, {"x": 8})])
    assert len(found) == 2
    assert emitted(found) == [
        ("heat", "m1", {"ts": 1, "x": 6}),
        ("heat", "m1", {"ts": 4, "x": 8}),
    ]


def test_an_alarm_and_a_stream_of_results_go_together():
    rule = (
        f"- {{id: hot, from: plant/+, key: device, {BY_EVENT}, window: {{count: 2}}, "
        "aggregate: {m: avg(payload.x)}, when: m > 5, alarm: {}, "
        "emit: {stream: means, on: window}}"
    )
    found = run(rule, [(1, {"x": 4}), (2, {"x": 8}), (3, {"x": 8}), (4, {"x": 0})])
    assert [record["m"] for _, _, record in emitted(found)] == [4, 6, 8, 4]
    assert steps(found) == [("raised", 2), ("cleared", 4)]


def test_a_held_condition_emits_with_the_last_event_when_its_time_is_over():
    rule = (
        f"- {{id: hot, from: plant/+, key: device, {BY_EVENT}, when: payload.x > 5, for: 10ms, "
        "emit: {stream: heat}}"
    )
    found = run(rule, [(1, {"x": 6}), (5, {"x": 7}), (20, {"x": 8})])
    assert emitted(found) == [("heat", "m1", {"ts": 11, "x": 7})]


def test_a_sequence_emits_at_each_match_from_the_steps():
    rule = (
        f"- {{id: up, from: plant/+, key: device, {BY_EVENT}, sequence: {{within: 1s, steps: ["
        "{id: low, when: payload.x < 3}, {id: high, when: payload.x > 7}]}, "
        "emit: {stream: ups, fields: {from: low.payload.x, to: high.payload.x}}}"
    )
    found = run(rule, [(1, {"x": 2}), (2, {"x": 9}), (3, {"x": 1}), (4, {"x": 8})])
    assert emitted(found) == [
        ("ups", "m1", {"ts": 2, "from": 2, "to": 9}),
        ("ups", "m1", {"ts": 4, "from": 1, "to": 8}),
    ]
    assert len(found) == 2


def test_silence_emits_once():
    rule = (
        "- {id: quiet, from: plant/+, key: device, absent: {for: 5s}, "
        "emit: {stream: quiet, fields: {who: device}}}"
    )
    engine, tape = engine_of(rule), Tape()
    engine.feed(tape.event({}, arrival=1_000))
    found = engine.feed(tape.tick(6_000)) + engine.feed(tape.event({}, arrival=7_000))
    assert emitted(found) == [("quiet", "m1", {"ts": 6_000, "who": "m1"})]


def test_all_events_together_are_a_record_about_the_rule():
    rule = f"- {{id: all-of, from: plant/+, key: [], {BY_EVENT}, emit: {{stream: everything}}}}"
    (record,) = run(rule, [(1, {"x": 2})])
    assert (record.topic, record.device, record.key) == ("derived/everything", "all-of", "")


def test_an_emitting_rule_goes_on_where_it_was_saved():
    rule = (
        f"- {{id: m, from: plant/+, key: device, {BY_EVENT}, window: {{tumbling: 10ms}}, "
        "aggregate: {n: count()}, emit: {stream: counts}}"
    )
    events = [(time_ms, {"x": 1}) for time_ms in range(1, 60, 3)]
    whole, table, found = run(rule, events), {}, []
    tape, engine = Tape(), engine_of(rule)
    for time_ms, payload in events:
        found += engine.feed(tape.event({"ts": time_ms, **payload}, arrival=time_ms))
        save(engine, table)
        engine = Engine(rules_of(rule))
        engine.restore(sorted(table.items()))
    assert found == whole
    assert sum(record["n"] for _, _, record in emitted(found)) == 17


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        (
            "- {id: a, from: t, window: {count: 2}, aggregate: {n: count()}, "
            "emit: {stream: s, on: event}}",
            "'on: event' knows nothing of the window; write on: window",
        ),
        (
            "- {id: a, from: t, absent: {for: 1s}, emit: {stream: s, on: event}}",
            "a rule with 'absent' emits on: match",
        ),
        (
            "- {id: a, from: t, emit: {stream: s, on: match}}",
            "'on: match' needs a 'when' or another detector",
        ),
        ("- {id: a, from: t, emit: {stream: late-x}}", "the stream 'late-x' is the gateway's own"),
        (
            "- {id: a, from: t, emit: {stream: s}}\n- {id: b, from: t, emit: {stream: s}}",
            "rule 'a' emits the stream 's' already; give this one its own, and read both by "
            "'from: [rule:a, rule:b]'",
        ),
    ],
)
def test_what_can_never_be_emitted_is_said_at_load(rule, complaint):
    (found,) = complaints(rule)
    assert found.partition(": ")[2] == complaint


def test_a_stream_that_takes_topics_is_not_for_rules():
    rules = parse_rules("version: 1\nrules:\n  - {id: a, from: t, emit: {stream: power}}")
    check_streams(rules, ["other"])
    with pytest.raises(DocumentInvalid, match="the stream 'power' takes topics, too"):
        check_streams(rules, ["power"])
