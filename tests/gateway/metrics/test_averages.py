from __future__ import annotations

from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.metrics import MINUTES, LoadAverages

looks = st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 120_000)), max_size=30)


@given(looks)
@settings(max_examples=100, deadline=None)
def test_an_average_is_the_sum_of_all_growth_weighted_by_its_age(grown):
    load = LoadAverages()
    total = 0
    for growth, elapsed_ms in grown:
        total += growth
        load.take(total, elapsed_ms)
    for minutes, average in zip(MINUTES, load.per_minute, strict=True):
        period_ms = minutes * 60_000
        age_ms, expected = 0, 0.0
        for growth, elapsed_ms in reversed(grown):
            weight = exp(-age_ms / period_ms) - exp(-(age_ms + elapsed_ms) / period_ms)
            expected += growth * 60_000 / elapsed_ms * weight
            age_ms += elapsed_ms
        assert average == pytest.approx(expected)


def test_a_steady_rate_becomes_the_average_whatever_the_time_between_looks():
    load = LoadAverages(1_000)
    total = 1_000
    for number in range(2_000):
        elapsed_ms = 10_000 + number % 7 * 1_000
        total += elapsed_ms // 100
        load.take(total, elapsed_ms)
    assert load.per_minute == pytest.approx((600, 600, 600), rel=0.001)


def test_a_look_that_takes_no_time_changes_nothing():
    load = LoadAverages()
    load.take(5, 0)
    assert load.per_minute == (0.0, 0.0, 0.0)
    load.take(5, 60_000)
    assert load.per_minute[0] == pytest.approx(5 * (1 - exp(-1)))
