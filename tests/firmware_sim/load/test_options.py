from __future__ import annotations

import pytest

from firmware_sim.load.options import (
    ConnectMeasured,
    DrainMeasured,
    FanoutMeasured,
    IngestMeasured,
    quantile,
)


@pytest.mark.parametrize(("part", "expected"), [(0.0, 1), (0.5, 3), (0.99, 5), (1.0, 5)])
def test_a_quantile_is_a_value_that_occurred(part, expected):
    assert quantile([1, 2, 3, 4, 5], part) == expected


def test_a_quantile_of_nothing_is_zero():
    assert quantile([], 0.5) == 0.0


def test_rates_are_counts_over_seconds():
    assert IngestMeasured(messages=10, seconds=2.0).messages_per_s == 5
    assert FanoutMeasured(delivered=10, seconds=2.0).deliveries_per_s == 5
    assert ConnectMeasured(connects=10, seconds=2.0).connects_per_s == 5
    assert DrainMeasured(delivered=10, seconds=2.0).deliveries_per_s == 5


def test_nothing_in_no_time_is_no_rate():
    assert IngestMeasured().messages_per_s == 0
    assert FanoutMeasured().deliveries_per_s == 0


def test_latencies_need_not_be_sorted():
    assert IngestMeasured(latencies_us=[3.0, 1.0, 2.0]).latency_us(0.5) == 2.0
