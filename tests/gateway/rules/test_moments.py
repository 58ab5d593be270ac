from __future__ import annotations

import math
import random

import pytest

from gateway.rules import moments
from gateway.rules.values import UNKNOWN
from tests.harness.aggregate_twins import PARAMETERS

NAMED = {**moments.MONOIDS, "spread": lambda _: moments.Spread()}


@pytest.mark.parametrize("function", sorted(NAMED))
def test_it_matters_nothing_where_the_parts_are_joined(function):
    rng = random.Random(9)
    monoid = NAMED[function](PARAMETERS.get(function, 0.0))
    parts = [
        monoid.lift(t * 700, rng.random() < 0.5 if function == "duration_true" else rng.random())
        for t in range(12)
    ]
    results = []
    for cut in range(1, 12):
        older = joined(monoid, parts[:cut])
        newer = joined(monoid, parts[cut:])
        results.append(monoid.lower(monoid.combine(older, newer), 9_000))
    assert all(math.isclose(result, results[0], rel_tol=1e-9) for result in results)


def joined(monoid, parts):
    state = parts[0]
    for part in parts[1:]:
        state = monoid.combine(state, part)
    return state


@pytest.mark.parametrize("function", ["variance", "stddev", "slope", "rate"])
def test_one_sample_has_no_variance_slope_or_rate(function):
    monoid = moments.MONOIDS[function](0.0)
    assert monoid.lower(monoid.lift(5, 1.0), 5) is UNKNOWN


def test_a_counter_that_began_anew_counts_from_zero():
    monoid = moments.Rate()
    state = joined(monoid, [monoid.lift(t, x) for t, x in ((0, 90), (1_000, 100), (2_000, 6))])
    assert monoid.lower(state, 2_000) == (10 + 6) / 2


def test_samples_of_one_moment_have_no_slope():
    monoid = moments.Slope()
    state = monoid.combine(monoid.lift(10, 1), monoid.lift(10, 2))
    assert monoid.lower(state, 10) is UNKNOWN
