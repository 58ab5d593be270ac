from gateway.rules.rule_sets import RuleSet


def test_a_set_of_nothing_is_a_set():
    assert (RuleSet(()).rules, dict(RuleSet(()).inventories)) == ((), {})
