import pytest

from gateway.rules.anomalies.zscore import ZScore
from tests.harness.anomaly_twins import spec_of


def scores(values, **options):
    method = ZScore(spec_of("zscore", **options))
    return [method.take(0, value) for value in values]


def test_a_value_is_judged_by_those_before_it_and_not_by_itself():
    assert scores([1.0, 3.0, 2.0 + 2**0.5 * 5], warmup=2)[-1] == pytest.approx(5)


def test_nothing_is_known_before_the_warm_up_is_over():
    assert scores([1.0, 2.0, 3.0], warmup=3) == [None, None, None]


def test_any_change_of_what_never_changed_is_as_unlike_as_can_be():
    assert scores([7.0, 7.0, 7.0, 7.0, 8.0], warmup=2)[2:] == [0.0, 0.0, 1e6]
    assert scores([0.0, 0.0, 0.0, -0.5], warmup=2)[-1] == -1e6
