from gateway.rules.trials.standings import find_plan, find_track, states_at, tracks_of
from tests.harness.rule_runs import Tape, engine_of

RULE = "- {id: hot, from: plant/+, when: payload.x > 5, for: 10s, clear_for: 5s}"


def test_the_words_follow_the_life_of_an_alarm():
    engine, tape = engine_of(RULE), Tape()
    assert states_at(engine, "hot") == {"idle"}
    engine.feed(tape.event({"x": 9}, arrival=1_000))
    assert states_at(engine, "hot", "m1") == {"pending"}
    assert states_at(engine, "hot", "m2") == {"idle"}
    engine.feed(tape.tick(11_000))
    assert states_at(engine, "hot") == {"raised"}
    engine.feed(tape.event({"x": 1}, arrival=12_000))
    assert states_at(engine, "hot") == {"raised", "clearing"}
    engine.feed(tape.tick(17_000))
    assert states_at(engine, "hot", "m1") == {"idle"}


def test_what_is_not_there_is_not_found():
    engine = engine_of(RULE)
    assert find_plan(engine, "cold") is None
    assert list(tracks_of(engine, "cold")) == []
    assert find_track(engine, "hot", "m1") is None
    assert find_track(engine, "cold", "m1") is None
