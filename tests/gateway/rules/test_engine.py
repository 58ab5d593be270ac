from __future__ import annotations

import csv
import json
import math
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.events import Flag, Origin, RecordBatch, Run
from gateway.rules import Engine, SideEvent, Transition
from gateway.rules.tracks import ConditionTrack
from tests.harness.rule_runs import (
    MANY,
    SIMPLE,
    Tape,
    engine_of,
    rules_of,
    run_events,
    save,
    steps,
    story,
    transitions,
)

NAB = Path(__file__).parents[4] / "shared/data/nab/machine_temperature_system_failure.csv"
NAB_RULES = """
defaults:
  key: device
  time: {by: event, field: payload.ts}
rules:
  - {id: raw, from: plant/+, when: payload.value < 65}
  - id: average
    from: plant/+
    window: {sliding: 1h}
    aggregate: {avg: avg(payload.value)}
    when: avg < 65
  - id: hysteresis
    from: plant/+
    window: {sliding: 1h}
    aggregate: {avg: avg(payload.value)}
    when: avg < 65
    clear: avg > 75
"""


def read_nab():
    with NAB.open() as lines:
        return [
            (
                int(
                    datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC).timestamp() * 1000
                ),
                float(row["value"]),
            )
            for row in csv.DictReader(lines)
        ]


def nab_batch(rows):
    payloads = [f'{{"ts":{t},"value":{v!r}}}'.encode() for t, v in rows]
    origins = [Origin("plant/m1", "m1")] * len(rows)
    run = Run("telemetry", 0, "c", 1_700_000_000_000, origins, payloads, bytes(len(rows)))
    return RecordBatch("telemetry", 0, 0, 1, [run])


def nab_twin(rows):
    """Raise times by the definitions, from every window recomputed; late rows left out."""
    kept, newest = [], 0
    for t, v in rows:
        if t >= newest:
            kept.append((t, v))
            newest = t
    raw = [(t, v) for t, v in kept]
    averages, start = [], 0
    expiries = {t + 3_600_000 for t, _ in kept} - {t for t, _ in kept}
    looks = sorted({t for t, _ in kept} | {e for e in expiries if e < kept[-1][0]})
    end = 0
    for moment in looks:
        while end < len(kept) and kept[end][0] <= moment:
            end += 1
        while kept[start][0] <= moment - 3_600_000 and start < end - 1:
            start += 1
        inside = [v for t, v in kept[start:end] if t > moment - 3_600_000]
        if inside:
            averages.append((moment, math.fsum(inside) / len(inside)))
    return {
        "raw": raises(raw, lambda v: v >= 65),
        "average": raises(averages, lambda v: v >= 65),
        "hysteresis": raises(averages, lambda v: v > 75),
    }


def raises(looks, clears):
    found, is_up = [], False
    for t, v in looks:
        if not is_up and v < 65:
            is_up = True
            found.append(t)
        elif is_up and clears(v):
            is_up = False
    return found


@pytest.mark.skipif(not NAB.exists(), reason="shared/ does not lie beside this checkout")
def test_the_recorded_machine_failure_raises_as_often_as_its_twin():
    rows = read_nab()
    outputs = Engine(rules_of(NAB_RULES)).feed([nab_batch(rows)])
    raised = {rule: [] for rule in ("raw", "average", "hysteresis")}
    for rule, _, event, time_ms in transitions(outputs):
        if event == "raised":
            raised[rule].append(time_ms)
    assert raised == nab_twin(rows)
    assert {rule: len(times) for rule, times in raised.items()} == {
        "raw": 55,
        "average": 23,
        "hysteresis": 18,
    }
    assert sum(isinstance(output, SideEvent) for output in outputs) == 3 * 11


def test_an_alarm_rises_with_the_event_and_clears_with_the_next():
    assert run_events(SIMPLE, [(1, 3), (2, 6), (3, 9), (4, 1)]) == [("raised", 2), ("cleared", 4)]


def test_keys_are_apart_and_topics_that_no_rule_reads_are_passed_over():
    engine, tape = engine_of(SIMPLE), Tape()
    outputs = engine.feed(
        tape.event({"ts": 1, "x": 6}, device="a", topic="plant/a")
        + tape.event({"ts": 1, "x": 1}, device="b", topic="plant/b")
        + tape.event({"ts": 1, "x": 9}, device="c", topic="other/c")
        + tape.event({"ts": 1, "x": 9}, device="b", topic="plant/b")
    )
    assert transitions(outputs) == [("hot", "a", "raised", 1), ("hot", "b", "raised", 1)]


@pytest.mark.parametrize(
    "payload", [b"", b"not json", b"[1", b"\xff", b"null", b"5", b'{"x":"hot"}']
)
def test_a_payload_that_says_nothing_changes_nothing(payload):
    rule = "- {id: hot, from: plant/+, key: device, when: payload.x > 5}"
    engine, tape = engine_of(rule), Tape()
    engine.feed(tape.event({"x": 6}, arrival=1))
    assert engine.feed(tape.event(payload, arrival=2)) == []
    assert steps(engine.feed(tape.event({"x": 1}, arrival=3))) == [("cleared", 3)]


def test_what_rules_publish_is_not_read_by_rules():
    engine, tape = engine_of("- {id: hot, from: '#', key: device, when: payload.x > 5}"), Tape()
    assert engine.feed(tape.event({"x": 6}, client="$rules")) == []
    assert len(engine.feed(tape.event({"x": 6}))) == 1


def test_each_rule_of_the_story_has_something_to_say():
    rules = {rule.id for rule in rules_of(MANY)}
    outputs = Engine(rules_of(MANY)).feed(story(1))
    assert {output.rule for output in outputs if isinstance(output, Transition)} == rules


def test_how_records_are_cut_into_calls_changes_nothing():
    batches = story(2)
    whole = Engine(rules_of(MANY)).feed(batches)
    single = Engine(rules_of(MANY))
    assert [output for batch in batches for output in single.feed([batch])] == whole


def test_a_run_that_is_cut_in_two_changes_nothing():
    records = [
        record for batch in story(3) for record in batch.records() if batch.stream != "ticks"
    ]
    origins = [Origin(record.topic, record.device) for record in records]
    payloads = [record.payload for record in records]
    runs = [
        Run(
            "telemetry",
            0,
            "c",
            10_000 + 500 * n,
            origins[n::7],
            payloads[n::7],
            bytes(len(records[n::7])),
        )
        for n in range(7)
    ]
    batch = RecordBatch("telemetry", 0, 0, 1, runs)
    whole = Engine(rules_of(MANY)).feed([batch])
    for size in (1, 13):
        engine, found = Engine(rules_of(MANY)), []
        for start in range(0, batch.next_offset, size):
            found += engine.feed([batch.slice(start, start + size)])
        assert found == whole


def test_times_of_one_key_and_rule_never_run_backwards():
    outputs = Engine(rules_of(MANY)).feed(story(5, 600))
    by_rule_and_key = {}
    for rule, key, event, time_ms in transitions(outputs):
        by_rule_and_key.setdefault((rule, key), []).append((time_ms, event))
    for found in by_rule_and_key.values():
        assert all(before[0] <= after[0] for before, after in pairwise(found))


def test_a_rule_that_fails_too_often_is_stopped_and_the_others_go_on(monkeypatch):
    rules = """
- id: bad
  from: plant/+
  key: device
  window: {sliding: 1s}
  aggregate: {m: max(payload.x)}
  when: m > 5
- {id: good, from: plant/+, key: device, when: payload.x > 5}
"""
    engine, tape = engine_of(rules), Tape()
    monkeypatch.setattr("gateway.rules.windows.LeanSlidingWindow.add", lambda *_: {}["lost"])
    found = []
    for number in range(7):
        found += engine.feed(tape.event({"x": 6 if number % 2 else 1}, arrival=number))
    assert [(o.rule, o.key, o.event) for o in found] == [
        ("good", "m1", "raised"),
        ("good", "m1", "cleared"),
        ("good", "m1", "raised"),
        ("good", "m1", "cleared"),
        ("gateway/rule-error", "bad", "raised"),
        ("good", "m1", "raised"),
        ("good", "m1", "cleared"),
    ]
    assert engine.counters["bad"].faults == 5
    assert found[4].reason.startswith("5 errors inside the engine within a minute; ")
    assert found[4].message == "rule bad was stopped: KeyError: 'lost'"
    table = {}
    save(engine, table)
    engine = engine_of(rules)
    engine.restore(sorted(table.items()))
    assert transitions(engine.feed(tape.event({"x": 9}, arrival=7))) == [
        ("good", "m1", "raised", 7)
    ]


def test_a_rule_that_fails_now_and_then_begins_the_key_anew_and_keeps_its_alarm(monkeypatch):
    rules = """
- id: r
  from: plant/+
  window: {sliding: 1h}
  aggregate: {n: count(), least: min(payload.x), odd: median(payload.x)}
  when: n > 2
"""
    engine, tape, table = engine_of(rules), Tape(), {}
    found = []
    for number in range(3):
        found += engine.feed(tape.event({"x": 1}, arrival=number))
    save(engine, table)
    assert any(name.startswith("page/") for name in table)
    with monkeypatch.context() as failing:
        failing.setattr(ConditionTrack, "advance", lambda *_: {}["lost"])
        found += engine.feed(tape.event({"x": 1}, arrival=10))
    assert engine.counters["r"].faults == 1
    save(engine, table)
    assert not any(name.startswith("page/") for name in table)
    again = engine_of(rules)
    assert again.restore(sorted(table.items())) == []
    for number in range(3):
        batches = tape.event({"x": 1}, arrival=20 + number)
        outputs = engine.feed(batches)
        assert again.feed(batches) == outputs
        found += outputs
    assert steps(found) == [("raised", 2), ("cleared", 20), ("raised", 22)]


NUMBERS = st.one_of(
    st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False)
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=5))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner)
)
PAYLOADS = st.one_of(
    st.binary(max_size=20),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries({"ts": VALUES, "x": VALUES}).map(lambda v: json.dumps(v).encode()),
    st.fixed_dictionaries({"ts": st.integers(0, 500), "x": NUMBERS}).map(
        lambda value: json.dumps(value).encode()
    ),
)


@given(st.lists(PAYLOADS, max_size=30))
@settings(max_examples=60, deadline=None)
def test_no_payload_can_stop_a_rule_or_spoil_its_state(payloads):
    engine, tape, table = Engine(rules_of(MANY)), Tape(), {}
    for arrival, payload in enumerate(payloads):
        found = engine.feed(tape.event(payload, arrival=arrival * 10))
        assert all(output.rule != "gateway/rule-error" for output in found if transitions([output]))
        save(engine, table)
    again = Engine(rules_of(MANY))
    assert again.restore(sorted(table.items())) == []
    last = tape.event({"ts": 10**6, "x": 9}, arrival=10**6)
    assert again.feed(last) == engine.feed(last)


def test_a_disabled_rule_says_nothing():
    engine, tape = (
        engine_of("- {id: r, from: plant/+, key: device, when: payload.x > 5, enabled: false}"),
        Tape(),
    )
    assert engine.feed(tape.event({"x": 6})) == []


HOT = "- {id: hot, from: plant/+, key: topic, when: payload.v > 5}"


def test_a_topic_with_a_decoder_is_read_by_it_and_any_other_as_json():
    def decoder_of(topic):
        return (lambda raw: {"v": float(raw)}) if topic == "plant/frame" else None

    engine, tape = Engine(rules_of(HOT), decoder_of=decoder_of), Tape()
    for topic, payload in [("frame", b"99"), ("json", b'{"v": 99}'), ("bare", b"99")]:
        tape.event(payload, topic=f"plant/{topic}")
    found = transitions(engine.feed(tape.batches))
    assert [key for _, key, _, _ in found] == ["plant/frame", "plant/json"]


def test_what_a_decoder_refuses_is_unknown_to_the_rules():
    engine = Engine(rules_of(HOT), decoder_of=lambda topic: float)
    assert engine.feed(Tape().event(b"no number")) == []


def test_a_payload_in_a_blob_is_seen_as_its_reference():
    rules = "- {id: big, from: plant/+, key: topic, when: payload.size_bytes > 1000}"
    engine = Engine(rules_of(rules), decoder_of=lambda topic: float)
    (batch,) = Tape().event({"blob": "ab" * 32, "size_bytes": 5_000})
    assert engine.feed([batch]) == []
    (batch,) = Tape().event({"blob": "ab" * 32, "size_bytes": 5_000})
    batch.runs[0].flags = bytes([Flag.CLAIM])
    again = Engine(rules_of(rules), decoder_of=lambda topic: float)
    assert [event for _, _, event, _ in transitions(again.feed([batch]))] == ["raised"]


def test_another_decoder_of_a_topic_counts_when_topics_are_forgotten():
    scale = [1]
    engine = Engine(
        rules_of(HOT), decoder_of=lambda _: lambda raw, by=scale[0]: {"v": by * float(raw)}
    )
    assert engine.feed(Tape().event(b"0.1")) == []
    scale[0] = 10
    engine.forget_topics()
    (raised,) = transitions(engine.feed(Tape().event(b"9.9")))
    assert raised[2] == "raised"
