from gateway.rules.patterns.sequence_reasons import Matched, Over
from tests.harness.rule_files import load_one

RULE = """
- id: r
  from: t
  sequence:
    within: 1m
    steps:
      - {id: a, when: payload.a}
      - {id: b, when: payload.b, times: {min: 2}}
      - all_of: [{id: c, when: payload.c}, {id: d, when: payload.d}]
      - {not: payload.n, within: 20s}
"""


def test_a_match_tells_which_step_took_an_event_when():
    scope = {
        "a": {"ts": 0},
        "b": {"first": {"ts": 1_000}, "last": {"ts": 2_000}, "count": 2},
        "d": {"ts": 3_000},
    }
    assert Matched(load_one(RULE).sequence).tell(scope) == (
        "a at 1970-01-01T00:00:00.000Z, "
        "b 2 times from 1970-01-01T00:00:01.000Z to 1970-01-01T00:00:02.000Z, "
        "d at 1970-01-01T00:00:03.000Z, no payload.n within 20s"
    )


def test_a_match_is_over_when_it_is_told():
    assert Over().tell({}) == "the match is told"
