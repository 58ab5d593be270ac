from __future__ import annotations

from gateway.rules.tallies import COUNTERS, saved_counters
from tests.harness.rule_runs import Tape, engine_of, save

RULES = """
- id: hot
  from: plant/+
  time: {by: event, field: payload.ts, late: 10s}
  when: payload.x > 5
  suppress: {cooldown: 1h}
- {id: all, from: plant/+, key: [], when: payload.x > 100}
"""


def feed(engine, tape, *values):
    for x in values:
        now_ms = 1_000_000 + tape.commit_no
        engine.feed(tape.event({"x": x, "ts": now_ms}, arrival=now_ms))


def test_counters_go_on_after_a_restart():
    engine, tape, table = engine_of(RULES), Tape(), {}
    feed(engine, tape, 9, 1, 9)
    engine.feed(tape.event({"x": 1, "ts": 1}, arrival=1_000_010))
    save(engine, table)
    engine = engine_of(RULES)
    engine.restore(sorted(table.items()))
    feed(engine, tape, 1, 9)
    hot = engine.counters["hot"]
    assert (hot.evaluated, hot.raised, hot.suppressed, hot.late) == (6, 3, 3, 1)
    assert hot.late_example == ("plant/m1", "m1", 1)
    assert engine.counters["all"].evaluated == 6


def test_saved_counters_are_read_without_an_engine():
    engine, tape, table = engine_of(RULES), Tape(), {}
    feed(engine, tape, 9)
    save(engine, table)
    assert saved_counters(table[COUNTERS]) == {
        "hot": {"evaluated": 1, "raised": 1},
        "all": {"evaluated": 1},
    }
    assert saved_counters(None) == {}


def test_state_of_before_there_were_counters_is_taken_over():
    engine, tape, table = engine_of(RULES), Tape(), {}
    feed(engine, tape, 9)
    save(engine, table)
    del table[COUNTERS]
    engine = engine_of(RULES)
    assert engine.restore(sorted(table.items())) == []
    assert engine.counters["hot"].evaluated == 0
