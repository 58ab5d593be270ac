import random

from gateway.rules.anomalies.change_point import ChangePoint
from tests.harness.anomaly_twins import spec_of


def test_a_change_is_a_moment_after_which_the_new_is_normal():
    rng = random.Random(1)
    values = [rng.gauss(10 if place < 300 else 14, 1) for place in range(600)]
    method = ChangePoint(spec_of("change_point", history=200, warmup=50))
    scores = [method.take(0, value) for value in values]
    changes = [place for place, score in enumerate(scores) if score is not None and score >= 3]
    assert len(changes) == 1
    assert 300 < changes[0] < 320
    assert scores[changes[0] + 1 : changes[0] + 40] == [0.0] * 39


def test_a_single_wild_value_is_no_change():
    values = [float(place % 5) for place in range(100)] + [1e9, *[2.0] * 10]
    method = ChangePoint(spec_of("change_point", history=80, warmup=50))
    assert max(method.take(0, value) or 0.0 for value in values) < 1
