from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.latency import LATENCY_MS_MAX, LatencyTally


def percentile_by_definition(latencies, ratio):
    ordered = sorted(latencies)
    return ordered[max(0, math.ceil(ratio * len(ordered)) - 1)]


@given(
    st.lists(st.integers(0, 500), min_size=1, max_size=60),
    st.sampled_from([0.25, 0.5, 0.75, 1.0]),
)
def test_a_percentile_is_its_definition(latencies, ratio):
    tally = LatencyTally()
    for latency_ms in latencies:
        tally.add(latency_ms)
    assert tally.percentiles_ms([ratio]) == [percentile_by_definition(latencies, ratio)]
    assert tally.most_ms == max(latencies)


def test_an_empty_tally_is_zero():
    assert LatencyTally().percentiles_ms((0.5, 0.99)) == [0, 0]


def test_what_is_out_of_bounds_counts_at_the_bound():
    tally = LatencyTally()
    tally.add(-5)
    tally.add(10 * LATENCY_MS_MAX)
    assert tally.percentiles_ms((0.5, 1.0)) == [0, LATENCY_MS_MAX]
