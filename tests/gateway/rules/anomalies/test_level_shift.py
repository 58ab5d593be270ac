import random

from gateway.rules.anomalies.level_shift import LevelShift
from gateway.rules.anomalies.zscore import ZScore
from tests.harness.anomaly_twins import spec_of


def scores(method, values):
    return [method.take(0, value) or 0.0 for value in values]


def test_a_small_shift_that_stays_is_found_where_no_single_value_tells_it():
    rng = random.Random(4)
    noise = [rng.gauss(0, 1) for _ in range(600)]
    values = [value + (1.5 if place >= 500 else 0) for place, value in enumerate(noise)]
    spec = spec_of("level_shift", history=500, warmup=100)
    shifted = scores(LevelShift(spec), values)
    assert max(shifted[500:530]) > 3.5
    assert max(scores(ZScore(spec), values)[500:530]) < 3.5


def test_a_single_wild_value_counts_for_less_than_in_a_score_of_values():
    values = [float(place % 7) for place in range(300)] + [12.0]
    spec = spec_of("level_shift", history=250, warmup=100)
    assert scores(LevelShift(spec), values)[-1] != 0
    assert scores(ZScore(spec), values)[-1] > 4
