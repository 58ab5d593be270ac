from __future__ import annotations

import pytest

from gateway.rules import Engine
from tests.harness.rule_runs import MANY, Tape, encoded, engine_of, rules_of, save, steps, story


@pytest.mark.parametrize("every", [1, 7, 60])
def test_a_restored_engine_continues_byte_for_byte(every):
    batches = story(every)
    whole = [encoded(output) for output in Engine(rules_of(MANY)).feed(batches)]
    engine, table, found = Engine(rules_of(MANY)), {}, []
    for number, batch in enumerate(batches):
        found += [encoded(output) for output in engine.feed([batch])]
        if number % every == 0:
            save(engine, table)
            engine = Engine(rules_of(MANY))
            engine.restore(sorted(table.items()))
    assert found == whole


def test_a_crash_between_snapshots_repeats_the_same_outputs():
    batches = story(77)
    engine, table = Engine(rules_of(MANY)), {}
    engine.feed(batches[:100])
    save(engine, table)
    saved = dict(table)
    after = [encoded(output) for output in engine.feed(batches[100:])]
    again = Engine(rules_of(MANY))
    again.restore(sorted(saved.items()))
    assert [encoded(output) for output in again.feed(batches[100:])] == after


def test_a_changed_rule_keeps_its_alarm_and_begins_its_window_anew():
    rule = """
- id: r
  from: plant/+
  key: device
  window: {sliding: %s}
  aggregate: {n: count()}
  when: n > 1
"""
    engine, tape, table = engine_of(rule % "10s"), Tape(), {}
    engine.feed(tape.event({}, arrival=1) + tape.event({}, arrival=2))
    save(engine, table)
    engine = engine_of(rule % "11s")
    engine.restore(sorted(table.items()))
    assert steps(engine.feed(tape.event({}, arrival=3))) == [("cleared", 3)]
    (raised,) = engine.feed(tape.event({}, arrival=4))
    assert raised.n == 2
