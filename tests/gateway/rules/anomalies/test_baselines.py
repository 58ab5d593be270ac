import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rules.anomalies.baselines import IQR_OF_NORMAL, Moments, Quartiles
from tests.harness.aggregate_twins import percentile

NUMBERS = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60)


@given(NUMBERS, st.integers(1, 12))
@settings(max_examples=100, deadline=None)
def test_mean_and_deviation_are_those_of_the_last_numbers(numbers, size):
    baseline = Moments(size)
    for place, number in enumerate(numbers, 1):
        baseline.push(number)
        held = numbers[max(0, place - size) : place]
        assert baseline.numbers() == held
        normal = baseline.normal()
        scale = max(map(abs, held))
        assert math.isclose(normal.centre, statistics.fmean(held), abs_tol=1e-9 * scale + 1e-12)
        wanted = statistics.stdev(held) if len(held) > 1 else 0.0
        assert math.isclose(normal.spread, wanted, rel_tol=1e-6, abs_tol=1e-6 * scale + 1e-12)


@given(NUMBERS, st.integers(1, 12))
@settings(max_examples=100, deadline=None)
def test_median_and_quartiles_are_those_of_the_last_numbers(numbers, size):
    baseline = Quartiles(size)
    for place, number in enumerate(numbers, 1):
        baseline.push(number)
        held = numbers[max(0, place - size) : place]
        assert baseline.numbers() == held
        spread = (percentile(held, 75) - percentile(held, 25)) / IQR_OF_NORMAL
        assert baseline.normal() == pytest.approx((percentile(held, 50), spread), abs=1e-9)


def test_an_extreme_number_that_has_left_leaves_no_error():
    baseline = Moments(4)
    for number in (1.0, 2.0, 1e15, 1.0, 2.0, 3.0, 4.0):
        baseline.push(number)
    assert baseline.normal() == (2.5, pytest.approx(statistics.stdev([1, 2, 3, 4]), rel=1e-15))
