import math

from gateway.rules.anomalies.baselines import Normal
from gateway.rules.anomalies.scores import SCORE_MAX, bounded, deviation_of, towards


def test_a_score_is_a_bounded_number():
    assert [bounded(score) for score in (math.inf, -math.inf, math.nan, 2.5)] == [
        SCORE_MAX,
        -SCORE_MAX,
        0.0,
        2.5,
    ]


def test_what_differs_by_rounding_does_not_differ():
    assert deviation_of(0.1 + 0.2, Normal(0.3, 0.0)) == 0.0
    assert deviation_of(5.0, Normal(3.0, 1.0)) == 2.0


def test_a_score_that_points_the_other_way_is_none():
    assert [towards(score, "both") for score in (2.0, -2.0)] == [2.0, 2.0]
    assert [towards(score, "up") for score in (2.0, -2.0)] == [2.0, 0.0]
    assert [towards(score, "down") for score in (2.0, -2.0)] == [0.0, 2.0]
