from __future__ import annotations

import pytest
from msgspec import msgpack

from gateway.rules import Engine
from gateway.rules.snapshots import StateTooNew
from tests.harness.rule_runs import (
    MANY,
    Tape,
    encoded,
    engine_of,
    rules_of,
    save,
    save_entries,
    steps,
    story,
)


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
            assert engine.restore(sorted(table.items())) == []
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


SLIDING = """
- id: r
  from: plant/+
  key: device
  window: {sliding: 1h}
  aggregate: {m: %s(payload.x)}
  when: m > 1e9
  state: {max_keys: 3}
"""


@pytest.mark.parametrize("function", ["avg", "max", "stddev"])
def test_a_checkpoint_writes_the_new_samples_of_a_window_and_not_the_old(function):
    engine, tape, table, written = engine_of(SLIDING % function), Tape(), {}, []
    for checkpoint in range(200):
        for number in range(20):
            arrival = 60_000 * checkpoint + 3_000 * number
            engine.feed(tape.event({"x": number / 3}, arrival=arrival))
        entries = list(engine.snapshot())
        written.append(sum(len(value) for _, value in entries if value is not None))
        save_entries(entries, table)
    assert max(written[100:]) < 2 * min(written[:5]) + 1_500
    assert sum(name.startswith("page/") for name in table) <= 61


def test_the_pages_of_a_key_that_was_forgotten_or_of_a_rule_that_changed_are_deleted():
    engine, tape, table = engine_of(SLIDING % "avg"), Tape(), {}
    for arrival in range(40):
        engine.feed(tape.event({"x": 1}, device=f"d{arrival % 8}", arrival=arrival))
        save(engine, table)
    texts = {name.rsplit("/", 1)[1] for name in table if "/" in name}
    assert texts == {"d5", "d6", "d7"}
    stale = engine_of(SLIDING % "max").restore(sorted(table.items()))
    assert stale == sorted(name for name in table if name.startswith("page/"))


def test_a_window_whose_page_is_missing_begins_anew_and_keeps_its_alarm():
    rule = SLIDING.replace("m > 1e9", "m > 1") % "avg"
    engine, tape, table = engine_of(rule), Tape(), {}
    engine.feed(tape.event({"x": 2}, arrival=1))
    save(engine, table)
    table = {name: value for name, value in table.items() if not name.startswith("page/")}
    engine = engine_of(rule)
    engine.restore(sorted(table.items()))
    assert steps(engine.feed(tape.event({"x": 0}, arrival=2))) == [("cleared", 2)]


def test_state_of_a_newer_program_is_refused():
    with pytest.raises(StateTooNew):
        engine_of(SLIDING % "avg").restore([("engine", msgpack.encode([2, 0, {}]))])
