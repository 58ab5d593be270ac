import pytest

from gateway.rules.loader import parse_rules
from gateway.rules.trials.reading import parse_trials
from gateway.rules.trials.rehearsals import rehearse

RULES = """
version: 1
defaults: {from: plant/+, time: {by: event, field: payload.ts, idle: 5s}}
rules:
  - {id: hot, when: payload.x > 5, for: 10s, clear: payload.x < 3, clear_for: 10s,
     publish: {topic: "out/{device}", payload: {x: "{payload.x}"}},
     alarm: {latch: true, message: "{device}: {payload.x}"}}
  - {id: quiet, absent: {for: 30s, startup_grace: 5s}}
"""


def play(case):
    text = "rules: [r.yaml]\ncases:\n  - name: it\n" + case
    (trial,) = parse_trials(text, "t.test.yaml").trials
    return rehearse(parse_rules(RULES), trial, lambda topic: topic.split("/")[1])


def test_time_passes_by_itself_until_something_is_due():
    outcome = play(
        """
    input: [{topic: plant/m1, stamp: payload.ts, payload.x: 9}]
    until: 2m
    expect:
      - {at: 9s, rule: hot, key: m1, state: pending}
      - {at: 16s, rule: hot, state: raised}
      - {at: 10s, rule: hot, event: raised, message: "m1: 9", severity: warning, n: 1, times: 1}
      - {publish: out/m1, payload: {x: 9}}
      - {at: 30s, rule: quiet, key: m1, event: raised}
    expect_no: [{rule: hot, event: cleared}]
"""
    )
    assert outcome.failures == ()
    assert [one.at_ms for one in outcome.happenings if one.about == "step"] == [10_000, 30_000]


def test_people_take_part_by_their_topics():
    outcome = play(
        """
    input:
      - {topic: plant/m1, every: 10s, stamp: payload.ts, payload.x: 9x2 1x4}
      - {topic: alarms/hot/m1/ack, at: 45s, payload: {}}
    expect:
      - {at: 25s, rule: hot, state: clearing}
      - {at: 44s, rule: hot, key: m1, state: cleared-unacked}
      - {at: 45s, rule: hot, event: acked}
      - {at: 45s, rule: hot, state: idle}
"""
    )
    assert outcome.failures == ()


@pytest.mark.parametrize(
    ("expectation", "message"),
    [
        ("{at: 5s, rule: hot, event: raised}", "it came at another time: 10s  raised hot m1"),
        ("{rule: hot, event: raised, severity: major}", "there was 10s  raised hot m1 warning"),
        ("{rule: quiet, event: raised}", "nothing of the kind happened to quiet"),
        ("{at: 1s, rule: hot, key: m1, state: raised}", "at 1s hot m1 should be raised, and is p"),
        ("{rule: hot, times: 2}", "expected 2 times hot; found 1: 10s  raised"),
        (
            "{publish: out/m2, within: [1s, 2s]}",
            "within 1s … 2s; nothing of the kind happened",
        ),
    ],
)
def test_what_was_not_met_is_told_with_what_came_closest(expectation, message):
    outcome = play(
        f"""
    input: [{{topic: plant/m1, every: 1s, stamp: payload.ts, payload.x: 9x15}}]
    expect:
      - {expectation}
"""
    )
    (failure,) = outcome.failures
    assert (failure.line, failure.column) == (7, 9)
    assert message in failure.message


def test_what_must_not_happen_is_told_when_it_does():
    outcome = play(
        """
    input: [{topic: plant/m1, every: 1s, stamp: payload.ts, payload.x: 9x15}]
    expect_no: [{rule: hot}, {at: 12s, rule: hot, state: raised}]
"""
    )
    assert [failure.message.split(" should ")[0] for failure in outcome.failures] == [
        "hot",
        "at 12s hot",
    ]


def test_the_same_case_has_the_same_outcome():
    case = """
    input: [{topic: plant/m1, every: 3s, stamp: payload.ts, payload.x: 9x5 1x9 9x5}]
    until: 5m
    expect: [{rule: hot}]
"""
    assert play(case).happenings == play(case).happenings


def test_a_case_says_what_is_known_of_a_device():
    rules = """
version: 1
rules: [{id: hot, from: plant/+, when: payload.x > twin.desired.limit && tags.site == "north"}]
"""
    case = """
rules: [r.yaml]
cases:
  - name: it
    input:
      - {topic: twin/m1/changed, payload: {part: tags, value: {site: north}}}
      - {topic: plant/m1, payload.x: 6}
      - {topic: twin/m1/changed, at: 10s, payload: {part: desired, value: {limit: 5}}}
      - {topic: plant/m1, at: 20s, payload.x: 6}
      - {topic: twin/m1/changed, at: 30s, payload: {part: desired, value: {limit: 9}}}
      - {topic: plant/m1, at: 40s, payload.x: 6}
    expect:
      - {at: 20s, rule: hot, event: raised, times: 1}
      - {at: 40s, rule: hot, event: cleared, times: 1}
    expect_no: [{at: 0s, rule: hot, event: raised}]
"""
    (trial,) = parse_trials(case, "t.test.yaml").trials
    outcome = rehearse(parse_rules(rules), trial, lambda topic: topic.split("/")[1])
    assert outcome.failures == ()
