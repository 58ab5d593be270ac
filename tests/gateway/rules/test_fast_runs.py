from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.events import Origin, RecordBatch, Run
from gateway.rules import Engine
from gateway.rules.outputs import Transition
from tests.harness.rule_runs import engine_of, rules_of

BOUNDED = "{by: event, field: payload.ts, late: 40ms, early: 30ms, late_policy: side}"
ADJUSTED = "{by: event, field: payload.ts, late: 40ms, early: 30ms, late_policy: adjust}"
WALKING = "{by: event, field: payload.ts, idle: 50ms}"
BODY = """
  - {id: plain, when: payload.x > 5}
  - id: levels
    when: payload.x > 3
    clear: payload.x < 2
    clear_for: 30ms
    alarm:
      message: "{device} {payload.x}"
      levels:
        - {severity: major, when: payload.x > 7}
        - {severity: critical, when: payload.x > 8, for: 10ms}
  - id: held
    where: payload.x != 2
    when: payload.x > 4
    for: 60ms
    alarm: {message: "{payload.x} {topic}"}
  - id: avg
    window: {sliding: 90ms, min_samples: 2}
    aggregate: {m: avg(payload.x)}
    when: m > 5
    clear: m < 4
  - id: tumbled
    where: payload.x != 1
    window: {tumbling: 40ms}
    aggregate: {m: max(payload.x), n: count()}
    when: m > 8 || n > 3
  - {id: rising, when: payload.x > prev.payload.x + 3}
"""
SEQUENCES = """
  - {id: pair, sequence: {within: 50ms, steps: [{when: payload.x > 5}, {when: payload.x < 3}]}}
  - {id: silent, absent: {for: 60ms}}
"""
TIMES = ["{by: arrival}", BOUNDED, ADJUSTED, WALKING]

payloads = st.one_of(
    st.builds(
        lambda step, x: {"step": step, "x": x},
        st.integers(-60, 60),
        st.one_of(st.integers(0, 9), st.sampled_from([True, None, "7", 2.5, 9.5])),
    ),
    st.sampled_from([b"", b"{", b"[1]", b"7", b'{"ts": "soon", "x": 8}']),
)
events = st.tuples(st.sampled_from(["m1", "m2", "m3"]), payloads, st.booleans())
histories = st.lists(st.tuples(st.integers(0, 40), st.lists(events, min_size=1, max_size=9)))


def rules_with(time, more=""):
    return f"defaults: {{from: plant/+, key: device, time: {time}}}\nrules:{BODY}{more}"


def slow_engine(text):
    """An engine that shows its lanes one event after the other."""
    engine = Engine(rules_of(text))
    for lane in engine.lanes:
        lane.is_fast = False
    return engine


def batches_of(history):
    """A run for each step of the history, some events of topics that no rule reads."""
    offset, now_ms, found = 0, 1_000, []
    for number, (step_ms, come) in enumerate(history, 1):
        now_ms += step_ms
        origins = [
            Origin(f"plant/{device}" if is_read else f"other/{device}", device)
            for device, _, is_read in come
        ]
        raws = [raw_of(payload, now_ms) for _, payload, _ in come]
        run = Run("telemetry", 0, "c", now_ms, origins, raws, bytes(len(raws)))
        found.append(RecordBatch("telemetry", 0, offset, number, [run]))
        offset += len(raws)
    return found


def raw_of(payload, now_ms):
    if isinstance(payload, bytes):
        return payload
    return json.dumps({"ts": now_ms + payload["step"], "x": payload["x"]}).encode()


def entries_of(engine):
    return sorted(engine.snapshot())


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("more", ["", SEQUENCES])
@settings(max_examples=25, deadline=None)
@given(history=histories)
def test_a_run_at_once_is_what_its_events_are_one_after_the_other(time, more, history):
    text = rules_with(time, more)
    fast, slow = engine_of(text), slow_engine(text)
    assert any(lane.is_fast for lane in fast.lanes)
    for batch in batches_of(history):
        assert fast.feed([batch]) == slow.feed([batch])
    assert entries_of(fast) == entries_of(slow)
    assert fast.counters == slow.counters


def test_plain_rules_alone_see_what_they_see_one_event_after_the_other():
    text = "\n".join(
        f"- {{id: t{number}, from: plant/+, key: device, when: payload.x > {number}}}"
        for number in range(8)
    )
    fast, slow = engine_of(text), slow_engine(text)
    history = [
        (7, [("m1", {"step": 0, "x": (number * 5 + place) % 9}, True) for place in range(5)])
        for number in range(40)
    ]
    outputs = fast.feed(batches_of(history))
    assert outputs == slow.feed(batches_of(history))
    assert sum(isinstance(one, Transition) for one in outputs) > 100


def test_a_rule_that_fails_in_the_middle_of_a_run_stops_and_the_others_go_on(monkeypatch):
    text = """
- {id: bad, from: plant/+, key: device, window: {sliding: 1m}, aggregate: {m: sum(payload.x)},
   when: m > 1}
- {id: good, from: plant/+, key: device, when: payload.x > 3}
"""
    engines = [engine_of(text), slow_engine(text)]
    for engine in engines:
        (plan, _) = engine.lanes[0].plans

        def fail(_scope):
            raise TypeError("a mistake of ours")

        plan.when = fail
    history = [(5, [("m1", {"step": 0, "x": x}, True) for x in (1, 5, 2, 6)])] * 4
    fast, slow = (engine.feed(batches_of(history)) for engine in engines)
    assert fast == slow
    assert {one.rule for one in fast if isinstance(one, Transition)} >= {"good"}
    assert engines[0].lanes[0].plans[0].is_stopped
