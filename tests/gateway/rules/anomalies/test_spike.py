from gateway.rules.anomalies.spike import Spike
from gateway.rules.anomalies.zscore import ZScore
from tests.harness.anomaly_twins import spec_of


def test_a_spike_does_not_hide_the_next_one():
    ordinary = [float(value % 5) for value in range(30)]
    values = [*ordinary, 100.0, 1.0, 100.0, 2.0, 100.0]
    by_median, by_mean = Spike(spec_of("spike")), ZScore(spec_of("zscore"))
    seen = [(by_median.take(0, value), by_mean.take(0, value)) for value in values]
    assert [median > 20 for median, _ in seen[30:]] == [True, False, True, False, True]
    assert seen[-1][1] < seen[-1][0] / 5
