from gateway.rules.patterns.absences import IS_EXPECTED, HeardAgain, Silent, on_its_clock
from tests.harness.rule_files import load_one


def test_a_silence_by_arrival_runs_on_arrival_time_whatever_the_rule_says_of_events():
    time = "time: {by: event, field: payload.ts, late: 2m}"
    by_arrival = load_one(f"- {{id: a, from: t, absent: {{for: 5m}}, {time}}}")
    assert (on_its_clock(by_arrival).time.by, on_its_clock(by_arrival).time.idle_ms) == (
        "arrival",
        0,
    )
    by_event = load_one(f"- {{id: a, from: t, absent: {{for: 5m, clock: event}}, {time}}}")
    assert on_its_clock(by_event) is by_event


def test_its_reasons_say_how_long_it_lasted_and_what_ended_it():
    assert Silent().tell({}, 90_000) == "nothing came for 1m30s"
    assert HeardAgain(None).tell({}) == "a message came"
    assert HeardAgain("assets").tell({IS_EXPECTED: False}) == "lookup:assets expects it no more"
