from gateway.rules.engine import Engine
from gateway.rules.rule_sets import RuleSet
from gateway.rules.trials.examinations import Examination
from gateway.rules.trials.observing import needed_for, text_of
from gateway.rules.values import UNKNOWN
from tests.harness.rule_runs import MANY, Tape, encoded, rules_of, story

RULES = """
- {id: a, from: plant/+, when: payload.x > 5, for: 10s}
- {id: b, from: plant/+, when: payload.x > 5, suppress: {while_active: [a]}}
- {id: c, from: plant/+, when: payload.x > 5}
"""


def examination(rule="a", key="m1", text=RULES):
    return Examination(RuleSet(rules_of(text)), rule, key)


def test_being_watched_changes_nothing_that_a_rule_says():
    rules, tape = rules_of(MANY), story(3)
    said = [encoded(o) for o in Engine(rules).feed(tape)]
    assert len(said) > 20
    for rule in rules:
        if rule.id == "few":
            continue  # it forgets keys: the numbers of their next alarms may differ
        watched = Examination(RuleSet(rules), rule.id, "a")
        own = [
            o for o in watched.engine.feed(tape) if o.cause and getattr(o, "rule", "") == rule.id
        ]
        plain = [o for o in Engine(rules).feed(tape) if getattr(o, "rule", "") == rule.id]
        assert [encoded(o) for o in own] == [encoded(o) for o in plain], rule.id


def test_a_near_miss_is_the_closest_moment_of_a_stretch():
    watched, tape = examination(), Tape()
    for second, x in enumerate([1, 4.6, 4.9, 4.7, 1, 9, 9, 1]):
        watched.engine.feed(tape.event({"x": x}, arrival=second * 1_000))
    near = watched.journal.all_near_misses()
    assert [(one.time_ms, one.text) for one in near] == [
        (2_000, "payload.x > 5 was 2.0% away from true"),
        (7_000, "held for 2000 ms of 10000 ms"),
    ]


def test_only_the_key_in_question_is_taken_down():
    watched, tape = examination(), Tape()
    watched.engine.feed(tape.event({"x": 4.9}, device="m2"))
    assert watched.journal.last == {}
    watched.engine.feed(tape.event({"x": 4.9}))
    assert watched.journal.last["when"].value is False
    assert len(watched.journal.inputs) == 1
    assert len(watched.journal.all_near_misses()) == 1


def test_a_rule_brings_along_what_holds_it_back():
    rules = RuleSet(rules_of(RULES))
    assert [rule.id for rule in needed_for(rules, "b").rules] == ["a", "b"]
    assert [rule.id for rule in needed_for(rules, "c").rules] == ["c"]


def test_keys_have_the_text_that_alarms_have():
    assert text_of(["a/b", 1.0]) == "a%2Fb/1"
    assert text_of([]) == ""
    assert text_of("m1") == "m1"
    assert text_of(["a", UNKNOWN]) is None
