import pytest

from gateway.rules.rule_sets import RuleSet
from gateway.rules.trials.examinations import Examination, saved_hashes, shown
from gateway.rules.values import UNKNOWN
from tests.harness.rule_runs import Tape, rules_of

RULES = """
- {id: mean, from: plant/+, window: {sliding: 10s}, aggregate: {m: avg(payload.x)}, when: m > 5}
- {id: rests, from: plant/+, when: payload.x > 5, enabled: false}
"""


def test_a_standing_names_times_window_and_alarm():
    watched, tape = Examination(RuleSet(rules_of(RULES)), "mean", "m1"), Tape()
    assert watched.standing() == {"state": ["idle"], "is_known": False}
    for second in (1, 2):
        watched.engine.feed(tape.event({"x": 9}, arrival=second * 1_000))
    standing = watched.standing()
    assert (standing["state"], standing["phase"], standing["n"]) == (["raised"], "raised", 1)
    assert standing["watermark"] == "1970-01-01T00:00:02.000Z"
    assert standing["next_timer"] == "1970-01-01T00:00:11.001Z"
    window = standing["window"]
    assert (window["kind"], window["size"], window["samples"]) == ("sliding", "10s", 2)
    (when,) = watched.expressions()
    assert (when["text"], when["value"], when["offset"]) == ("m > 5", True, 1)


def test_a_rule_that_rests_is_not_examined():
    with pytest.raises(KeyError):
        Examination(RuleSet(rules_of(RULES)), "rests", "m1")


def test_the_hashes_of_a_saved_state_can_be_read():
    watched = Examination(RuleSet(rules_of(RULES)), "mean", "m1")
    entries = dict(watched.engine.snapshot())
    assert saved_hashes(entries["engine"]) == {"mean": watched.spec.source_hash}
    assert saved_hashes(None) == {}


def test_what_is_unknown_is_shown_as_that():
    assert (shown(UNKNOWN), shown(0)) == ("unknown", 0)
