from gateway.rules.anomalies.plans import AnomalyPlan
from gateway.rules.patterns.plans import pattern_of
from gateway.rules.values import UNKNOWN
from tests.harness.rule_files import load_one

RULE = "- {{id: a, from: t, anomaly: {{value: payload.x, method: zscore, {}}}}}"


def plan_of(options):
    plan = pattern_of(load_one(RULE.format(options)))
    assert isinstance(plan, AnomalyPlan)
    return plan


def test_between_half_the_sensitivity_and_the_whole_an_alarm_stays_as_it_is():
    plan = plan_of("sensitivity: 4")
    assert [plan.judge(score) for score in (4.0, -9.0, 3.0, 2.0, 1.9)] == [
        (4.0, True),
        (9.0, True),
        (3.0, UNKNOWN),
        (2.0, UNKNOWN),
        (1.9, False),
    ]


def test_one_direction_takes_no_notice_of_the_other():
    assert plan_of("direction: down").judge(50.0) == (0.0, False)
    assert plan_of("direction: down").judge(-50.0) == (50.0, True)


def test_the_reason_names_the_value_and_its_score():
    raised, cleared = plan_of("sensitivity: 2.5").reasons
    assert raised.tell({"score": 7.125}) == "zscore of payload.x: score 7.12 is at least 2.5"
    assert cleared.tell({"score": 0.5}) == "zscore of payload.x: score 0.50 is below 1.25"
