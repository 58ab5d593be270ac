from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rules import Derived, Engine
from gateway.rules.joins import EVENTS_MAX, JoinPlan
from tests.harness.rule_files import complaints, load_one
from tests.harness.rule_runs import Tape, engine_of, rules_of, save

BOUND_MS = 40
WITHIN_MS = 60
RULE = """
- id: j
  from: own/+
  key: payload.k
  time: {by: event, field: payload.ts, out_of_order: %dms}
  join: {with: {other: other/+}, within: %dms, type: %s, on: "other.payload.v >= payload.v"}
  emit: {stream: met, fields: {own: payload.id, other: other.payload.id}}
"""
# Kind, event time, key, value, how late it arrives.
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["own", "other"]),
        st.integers(0, 400),
        st.integers(0, 1),
        st.integers(0, 3),
        st.integers(0, BOUND_MS),
    ),
    max_size=30,
)


def arrivals(events):
    """The events with their numbers, in the order in which they arrive."""
    numbered = [
        (ts + late, number, kind, ts, key, value)
        for number, (kind, ts, key, value, late) in enumerate(events)
    ]
    return sorted(numbered)


def run(rule, events, restart_every=0):
    engine, tape, found, table = engine_of(rule), Tape(), [], {}
    story = [*arrivals(events)]
    story += [(10_000, -1 - k, kind, 10_000, k, 9) for k in (0, 1) for kind in ("other",)]
    for count, (arrival, number, kind, ts, key, value) in enumerate(story):
        payload = {"id": number, "ts": ts, "k": key, "v": value}
        found += engine.feed(tape.event(payload, topic=f"{kind}/x", device="x", arrival=arrival))
        if restart_every and count % restart_every == 0:
            save(engine, table)
            engine = Engine(rules_of(rule))
            assert engine.restore(sorted(table.items())) == []
    records = [json.loads(one.payload) for one in found if isinstance(one, Derived)]
    return sorted(
        (one["ts"], one["own"], -99 if one["other"] is None else one["other"]) for one in records
    )


def twin(join_type, events):
    """By definition, from every pair of events."""
    order = {number: place for place, (_, number, *_) in enumerate(arrivals(events))}
    numbered = [(number, *event[:4]) for number, event in enumerate(events)]
    found = []
    for own, own_kind, own_ts, key, value in numbered:
        if own_kind != "own":
            continue
        near = [
            (ts, order[other], other)
            for other, kind, ts, other_key, other_value in numbered
            if kind == "other"
            and other_key == key
            and other_value >= value
            and abs(ts - own_ts) <= WITHIN_MS
        ]
        if join_type == "latest":
            before = [one for one in near if one[:2] < (own_ts, order[own])]
            found.append((own_ts, own, max(before)[2] if before else -99))
            continue
        found += [(max(ts, own_ts), own, other) for ts, _, other in near]
        if join_type == "left" and not near:
            found.append((own_ts + WITHIN_MS, own, -99))
    return sorted(found)


@pytest.mark.parametrize("join_type", ["inner", "left", "latest"])
@given(events=EVENTS)
@settings(max_examples=60, deadline=None)
def test_what_meets_is_what_meets_by_definition(join_type, events):
    rule = RULE % (BOUND_MS, WITHIN_MS, join_type)
    assert run(rule, events) == twin(join_type, events)


@given(events=EVENTS)
@settings(max_examples=15, deadline=None)
def test_restarts_change_nothing(events):
    for join_type in ("inner", "left", "latest"):
        rule = RULE % (BOUND_MS, WITHIN_MS, join_type)
        assert run(rule, events, restart_every=3) == run(rule, events)


THREE = """
- id: j
  from: own/+
  key: []
  time: {by: event, field: payload.ts}
  join:
    with: {a: a/+, b: b/+}
    within: 50ms
    on: a.payload.v == payload.v && b.payload.v > a.payload.v
  emit: {stream: met, fields: {own: payload.id, a: a.payload.id, b: b.payload.id}}
"""


@given(
    st.lists(
        st.tuples(st.sampled_from(["own", "a", "b"]), st.integers(0, 30), st.integers(0, 2)),
        max_size=24,
    )
)
@settings(max_examples=60, deadline=None)
def test_several_sources_meet_in_every_combination(steps):
    engine, tape, found, events, now_ms = engine_of(THREE), Tape(), [], [], 0
    for number, (kind, wait, value) in enumerate(steps):
        now_ms += wait
        events.append((kind, now_ms, value, number))
        payload = {"id": number, "ts": now_ms, "v": value}
        found += engine.feed(tape.event(payload, topic=f"{kind}/x", arrival=now_ms))
    records = [json.loads(one.payload) for one in found]
    got = sorted((one["ts"], one["own"], one["a"], one["b"]) for one in records)
    assert got == sorted(
        (max(own[1], a[1], b[1]), own[3], a[3], b[3])
        for own in events
        for a in events
        for b in events
        if (own[0], a[0], b[0]) == ("own", "a", "b")
        and abs(a[1] - own[1]) <= 50
        and abs(b[1] - own[1]) <= 50
        and a[2] == own[2]
        and b[2] > a[2]
    )


def test_joined_events_have_the_key_that_on_says_they_have():
    rule = load_one(
        "- {id: j, from: own/+, key: payload.room, emit: {stream: s}, join: {with: {h: h/+}, "
        "within: 1m, on: h.payload.zone == payload.room && h.payload.x > 1}}"
    )
    plan = JoinPlan(rule, rule.join)
    own = {"topic": "own/1", "payload": {"room": "r1", "zone": "no"}}
    other = {"topic": "h/1", "payload": {"room": "no", "zone": "r1"}}
    assert plan.read(own) == plan.read(other) == ("r1", "r1")


def test_without_on_events_of_one_key_meet_and_only_what_is_read_is_kept():
    rule = load_one(
        "- {id: j, from: own/+, key: device, join: {with: {h: h/+}, within: 1m, type: latest}, "
        "when: h.payload.x > payload.x}"
    )
    plan = JoinPlan(rule, rule.join)
    assert plan.kept_max == 1
    taken = plan.picks["h"].take({"ts": 5, "payload": {"x": 1, "much": "more"}, "topic": "h/1"})
    assert taken == {"ts": 5, "payload": {"x": 1}}


def test_no_more_than_so_many_events_wait():
    rule = (
        "- {id: j, from: own/+, key: [], join: {with: {h: h/+}, within: 1h}, "
        "emit: {stream: s, fields: {x: h.payload.x}}}"
    )
    engine, tape = engine_of(rule), Tape()
    for number in range(EVENTS_MAX + 5):
        engine.feed(tape.event({"x": number}, topic="h/1", arrival=number))
    assert engine.counters["j"].dropped_partials == 5
    found = engine.feed(tape.event({}, topic="own/1", arrival=2_000))
    assert [json.loads(one.payload)["x"] for one in found] == list(range(5, EVENTS_MAX + 5))


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        (
            "- {id: j, from: t, join: {with: {h: h}, within: 1m}, absent: {for: 1m}}",
            "a join goes with 'when' or 'emit', not with 'absent'",
        ),
        ("- {id: j, from: t, join: {with: {h: h}}, when: h.payload.x}", "missing key 'within'"),
    ],
)
def test_what_can_t_be_joined_is_said_at_load(rule, complaint):
    assert complaint in [one.partition(": ")[2] for one in complaints(rule)]
