from __future__ import annotations

import random

import pytest

from gateway.rules import Engine
from tests.harness.rule_runs import Tape, encoded, engine_of, rules_of, save, steps, transitions

SILENT = "- {id: silent, from: plant/+, key: device, absent: {for: 5s}}"


def run(rules, *records):
    """Feed (arrival, payload) pairs, None for a tick; lists the (event, time) steps."""
    engine, tape, found = engine_of(rules), Tape(), []
    for arrival, payload in records:
        batch = tape.tick(arrival) if payload is None else tape.event(payload, arrival=arrival)
        found += engine.feed(batch)
    return engine, tape, found


def test_silence_raises_when_it_has_lasted_and_clears_with_the_next_message():
    _, _, found = run(SILENT, (1_000, {}), (5_999, None), (6_000, None), (9_000, None), (9_500, {}))
    assert steps(found) == [("raised", 6_000), ("cleared", 9_500)]
    raised, cleared = found
    assert (raised.reason, raised.since_ms) == ("nothing came for 5s", 1_000)
    assert cleared.reason == "a message came"


def test_a_silence_is_raised_once_and_the_next_one_again():
    _, _, found = run(SILENT, (1_000, {}), (60_000, None), (70_000, {}), (80_000, None))
    assert [(o.event, o.n) for o in found] == [("raised", 1), ("cleared", 1), ("raised", 2)]


def test_a_message_in_time_puts_the_alarm_off():
    _, _, found = run(SILENT, (1_000, {}), (5_999, {}), (10_998, None))
    assert found == []


def test_a_silence_that_no_tick_told_of_is_raised_before_the_message_that_ends_it():
    _, _, found = run(SILENT, (1_000, {}), (20_000, {}))
    assert steps(found) == [("raised", 6_000), ("cleared", 20_000)]


def test_the_engine_asks_for_a_tick_when_a_silence_ripens_and_for_none_after_it():
    engine, tape, _ = run(SILENT, (1_000, {}))
    assert engine.next_tick_ms() == 6_000
    engine.feed(tape.tick(6_000))
    assert engine.next_tick_ms() is None


def test_only_messages_that_pass_where_are_signs_of_life():
    rule = SILENT.replace("absent:", "where: payload.beat, absent:")
    _, _, found = run(
        rule, (1_000, {"beat": True}), (3_000, {}), (6_000, None), (7_000, {}), (8_000, {"beat": 1})
    )
    assert steps(found) == [("raised", 6_000)]


def test_by_the_clock_of_events_a_gap_between_them_is_a_silence():
    rule = (
        "- {id: silent, from: plant/+, key: device, absent: {for: 5s, clock: event}, "
        "time: {by: event, field: payload.ts, idle: 10s}}"
    )
    _, _, found = run(rule, (50_000, {"ts": 1_000}), (50_001, {"ts": 9_000}), (65_001, None))
    assert steps(found) == [("raised", 6_000), ("cleared", 9_000), ("raised", 14_000)]


def test_auto_clear_counts_from_the_moment_of_the_alarm():
    rule = SILENT.replace("}}", "}, alarm: {auto_clear: 2s}}")
    _, _, found = run(rule, (1_000, {}), (60_000, None))
    assert steps(found) == [("raised", 6_000), ("cleared", 8_000)]


def test_a_message_may_tell_of_the_last_event():
    rule = SILENT.replace("}}", "}, alarm: {message: '{device} was at {payload.x}'}}")
    _, _, found = run(rule, (1_000, {"x": 7}), (6_000, None))
    assert [o.message for o in found] == ["m1 was at 7"]


def test_a_forgotten_key_clears_its_silence_aloud():
    rule = SILENT.replace("absent:", "state: {max_keys: 1}, absent:")
    engine, tape, found = run(rule, (1_000, {}), (6_000, None))
    assert steps(found) == [("raised", 6_000)]
    (cleared,) = engine.feed(tape.event({}, device="m2", topic="plant/m2", arrival=7_000))
    assert (cleared.key, cleared.event) == ("m1", "cleared")
    assert "forgotten" in cleared.reason
    assert engine.counters["silent"].forgotten_keys == 1


def test_a_silent_key_is_remembered_beyond_its_age():
    rule = SILENT.replace("absent:", "state: {ttl: 10s}, absent:")
    engine, tape, _ = run(rule, (1_000, {}), (6_000, None))
    others = [tape.event({}, device=f"x{n}", arrival=60_000 + n) for n in range(3)]
    assert [o for batch in others for o in transitions(engine.feed(batch)) if o[1] == "m1"] == []
    found = transitions(engine.feed(tape.event({}, arrival=90_000)))
    assert [o for o in found if o[1] == "m1"] == [("silent", "m1", "cleared", 90_000)]


def silences(arrivals, end, for_ms):
    """By definition: each gap that is long enough, from its start."""
    found = []
    for here, following in zip(arrivals, [*arrivals[1:], None], strict=True):
        due = here + for_ms
        if following is None:
            found += [("raised", due)] if due <= end else []
        elif due <= following:
            found += [("raised", due), ("cleared", following)]
    return found


@pytest.mark.parametrize("seed", range(6))
def test_random_gaps_are_raised_as_by_definition_across_restarts(seed):
    rng, tape = random.Random(seed), Tape()
    engine, table, found, now_ms = engine_of(SILENT), {}, [], 1_000
    arrivals = {"a": [], "b": []}
    for _ in range(200):
        now_ms += rng.choice([1, 500, 2_000, 4_999, 5_000, 5_001])
        if rng.random() < 0.3:
            found += engine.feed(tape.tick(now_ms))
        else:
            device = rng.choice("ab")
            arrivals[device].append(now_ms)
            found += engine.feed(tape.event({}, device=device, arrival=now_ms))
        if rng.random() < 0.1:
            save(engine, table)
            engine = engine_of(SILENT)
            assert engine.restore(sorted(table.items())) == []
    for device, own in arrivals.items():
        got = [(e, t) for _, key, e, t in transitions(found) if key == device]
        assert got == silences(own, now_ms, 5_000)
        assert len(got) > 5
    whole = Engine(rules_of(SILENT)).feed(tape.batches)
    assert [encoded(one) for one in whole] == [encoded(one) for one in found]
