from __future__ import annotations

import random

import pytest

from gateway.rules import Engine, Transition
from gateway.rules.anomalies.anomaly_tracks import AnomalyTrack
from tests.harness.rule_runs import Tape, engine_of, rules_of, save, steps

RULE = """
- id: r
  from: plant/+
  key: device
  time: {by: event, field: payload.ts}
  anomaly: {value: payload.x, method: %s, history: 100, warmup: 20%s}
  alarm: {message: "{score:.1f} {payload.x}", levels: [{severity: major, when: score > 100}]}
"""
# What a sensor says; the wild value raises, the next one that is as before clears.
STORY = [(place * 1_000, 20.0 + place % 5) for place in range(40)] + [
    (40_000, 400.0),
    (41_000, 22.0),
]


def feed(engine, tape, events, device="m1"):
    found = []
    for time_ms, value in events:
        payload = {"ts": time_ms, "x": value}
        found += engine.feed(tape.event(payload, arrival=time_ms, device=device))
    return found


def test_a_value_unlike_its_history_raises_and_the_next_ordinary_one_clears():
    found = feed(engine_of(RULE % ("zscore", "")), Tape(), STORY)
    assert steps(found) == [("raised", 40_000), ("cleared", 41_000)]
    assert found[0].message.endswith(" 400")
    assert float(found[0].message.split()[0]) > 100
    assert found[0].severity == "major"
    assert found[0].reason.startswith("zscore of payload.x: score ")


def test_each_key_has_its_own_history():
    engine, tape = engine_of(RULE % ("zscore", "")), Tape()
    feed(engine, tape, [(t, x + 400) for t, x in STORY[:40]], device="hot")
    assert steps(feed(engine, tape, STORY[:40], device="cool")) == []


@pytest.mark.parametrize("value", [None, "9", True, [1], 1e400])
def test_what_is_no_number_is_left_out(value):
    engine, tape = engine_of(RULE % ("zscore", "")), Tape()
    feed(engine, tape, STORY[:40])
    assert feed(engine, tape, [(40_000, value)]) == []
    assert steps(feed(engine, tape, [(40_001, 400)])) == [("raised", 40_001)]


def test_values_are_resampled_to_means_which_are_judged_when_their_time_is_over():
    rule = RULE % ("zscore", ", resample: 10s")
    engine, tape = engine_of(rule), Tape()
    quiet = [(place * 1_000, 20.0 + place % 3) for place in range(300)]
    loud = [(300_000 + place * 1_000, 100.0) for place in range(10)]
    found = feed(engine, tape, [*quiet, *loud, (310_000, 20.0)])
    assert steps(found) == [("raised", 310_000)]


@pytest.mark.parametrize("method", ["zscore", "spike", "level_shift", "rate", "stuck"])
@pytest.mark.parametrize("options", ["", ", resample: 3s"])
def test_a_restart_changes_nothing(method, options):
    rng = random.Random(f"{method}{options}")
    values = [rng.choice([1.0, 1.5, 2.0, 2.0, 9.0]) + (50 if place % 97 == 60 else 0)
              for place in range(400)]  # fmt: skip
    events = [(place * 1_000, value) for place, value in enumerate(values)]
    rule = RULE % (method, options)
    wanted = feed(engine_of(rule), Tape(), events)
    tape, table, found = Tape(), {}, []
    engine = Engine(rules_of(rule))
    for start in range(0, len(events), 37):
        found += feed(engine, tape, events[start : start + 37])
        save(engine, table)
        engine = Engine(rules_of(rule))
        stale = engine.restore(sorted(table.items()))
        assert stale == []
    assert [o.encode() for o in found] == [o.encode() for o in wanted]
    assert any(isinstance(o, Transition) for o in found) or method == "stuck"


def test_a_rule_that_has_changed_keeps_its_alarm_and_learns_anew():
    tape, table = Tape(), {}
    engine = engine_of(RULE % ("zscore", ""))
    feed(engine, tape, STORY[:41])
    save(engine, table)
    changed = engine_of(RULE % ("zscore", ", sensitivity: 4"))
    for name in changed.restore(sorted(table.items())):
        del table[name]
    assert not any(name.startswith("page/") for name in table)
    assert steps(feed(changed, tape, [(50_000 + t, x) for t, x in STORY[:30]])) == [
        ("cleared", 70_000)
    ]


def test_only_new_numbers_are_written_at_a_snapshot():
    rule = RULE.replace("100, warmup", "1000, warmup") % ("zscore", "")
    engine, tape, table = engine_of(rule), Tape(), {}
    feed(engine, tape, [(place * 1_000, place % 7) for place in range(1_000)])
    save(engine, table)
    feed(engine, tape, [(1_000_000 + place * 1_000, place % 7) for place in range(20)])
    written = [(name, value) for name, value in engine.snapshot() if value is not None]
    assert sum(len(value) for _, value in written) < 1_500


def test_a_rule_without_an_anomaly_has_no_such_track():
    plan = engine_of("- {id: a, from: t, when: payload.x}")._lanes[0].plans[0]
    with pytest.raises(TypeError):
        AnomalyTrack(plan, "k", "k")
