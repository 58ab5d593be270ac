from gateway.rules.anomalies.stuck import Stuck
from tests.harness.anomaly_twins import spec_of


def test_a_value_that_stays_three_times_as_long_as_ever_has_a_score_of_three():
    method = Stuck(spec_of("stuck", history=100, warmup=10))
    scores = [method.take(0, value) for value in [1.0, 1.0, 2.0, 3.0] * 5 + [4.0] * 6]
    assert scores[9] is None
    assert scores[-6:] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]


def test_what_never_changed_is_measured_by_the_warm_up():
    method = Stuck(spec_of("stuck", history=50, warmup=10))
    scores = [method.take(0, 5.0) for _ in range(30)]
    assert scores[10] == 1.1
    assert scores[-1] == 3.0
