from gateway.rules.rule_sets import RuleSet
from gateway.rules.spec import RuleSpec


def test_a_set_of_nothing_is_a_set():
    assert (RuleSet(()).rules, dict(RuleSet(()).inventories)) == ((), {})


def test_a_rule_that_rests_can_be_woken():
    rules = RuleSet((RuleSpec("a", (), (), enabled=False), RuleSpec("b", (), (), enabled=False)))
    assert [rule.enabled for rule in rules.with_enabled(["b"]).rules] == [False, True]
