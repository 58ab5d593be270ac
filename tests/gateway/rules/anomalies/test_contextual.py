from __future__ import annotations

import json
import math
import random

import pytest

from gateway.rules.anomalies.contextual import Contextual
from gateway.rules.anomalies.level_shift import LevelShift
from tests.harness import anomaly_twins
from tests.harness.anomaly_twins import spec_of

HOUR_MS = 3_600_000


def daily(seed, hours, step_ms=HOUR_MS):
    """Warm days and cool nights, with some noise."""
    pick = random.Random(seed)
    return [
        (number * step_ms, 20 + 8 * math.sin(number * step_ms / HOUR_MS * math.pi / 12)
         + pick.gauss(0, 0.5))
        for number in range(hours * HOUR_MS // step_ms)
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_its_definition_over_many_days(seed):
    pick = random.Random(seed)
    spec, values = spec_of("contextual", history=60, warmup=15), []
    now_ms = pick.randint(0, 10**9)
    for _ in range(180):
        now_ms += pick.choice([0, HOUR_MS // 2, HOUR_MS, 3 * HOUR_MS])
        values.append((now_ms, pick.choice([pick.gauss(20, 5), 20.0, 1e6 * pick.random()])))
    running, known = Contextual(spec), 0
    for place, value in enumerate(values, 1):
        got, wanted = running.take(*value), anomaly_twins.contextual(values[:place], spec)
        assert (got is None) is (wanted is None)
        if got is not None:
            known += 1
            assert math.isclose(got, wanted, rel_tol=1e-5, abs_tol=1e-5)
    assert known > 50


@pytest.mark.parametrize("cut", [3, 30, 100, 170])
def test_unpacked_it_goes_on_bit_for_bit_over_many_days(cut):
    spec, values = spec_of("contextual", history=60, warmup=15), daily("cut", 220)
    one, other = Contextual(spec), Contextual(spec)
    for value in values[:cut]:
        one.take(*value)
    other.unpack(*json.loads(json.dumps([one.pack(), one.numbers(), one.taken])))
    assert (other.taken, len(other.numbers())) == (one.taken, len(one.numbers()))
    assert [one.take(*value) for value in values[cut:]] == [
        other.take(*value) for value in values[cut:]
    ]


def test_a_night_as_warm_as_a_day_is_found_where_no_level_tells_it():
    values = daily(3, 24 * 14)
    start = 24 * 12 + 15  # at night, on the thirteenth day
    values[start : start + 6] = [(time_ms, 24.0) for time_ms, _ in values[start : start + 6]]
    spec = spec_of("contextual", history=300, warmup=100)
    scores = [Contextual(spec), LevelShift(spec)]
    found = [[method.take(*value) or 0.0 for value in values] for method in scores]
    assert max(found[0][start : start + 8]) > 6
    assert max(found[0][200:start]) < 3.5
    assert max(found[1][start : start + 8]) < 3


def test_the_first_day_is_only_learned():
    method = Contextual(spec_of("contextual", history=300, warmup=2))
    assert [method.take(*value) for value in daily(1, 26)] == [None] * 26
