from __future__ import annotations

from tests.harness.rule_runs import Tape, engine_of, transitions


def test_the_key_longest_silent_is_forgotten_and_its_alarm_cleared():
    rule = "- {id: r, from: plant/+, key: device, when: payload.x > 5, state: {max_keys: 2}}"
    engine, tape = engine_of(rule), Tape()
    for arrival, device in ((1, "a"), (2, "b"), (3, "a"), (4, "c")):
        found = engine.feed(tape.event({"x": 6}, device=device, arrival=arrival))
    assert transitions(found) == [("r", "b", "cleared", 2), ("r", "c", "raised", 4)]
    assert found[0].reason == "the key was forgotten: the rule keeps 2 keys"
    found = engine.feed(tape.event({"x": 6}, device="b", arrival=5))
    assert [(o.key, o.event, o.n) for o in found] == [("a", "cleared", 1), ("b", "raised", 2)]


def test_an_alarm_that_is_up_outlives_the_silence_of_its_key():
    rule = "- {id: r, from: plant/+, key: device, when: payload.x > 5, state: {ttl: 10s}}"
    engine, tape = engine_of(rule), Tape()
    engine.feed(tape.event({"x": 6}, arrival=0))
    found = engine.feed(tape.event({"x": 1}, arrival=60_000))
    assert [(o.event, o.n) for o in found] == [("cleared", 1)]
    (again,) = engine.feed(tape.event({"x": 6}, arrival=120_000))
    assert (again.event, again.n) == ("raised", 2)
