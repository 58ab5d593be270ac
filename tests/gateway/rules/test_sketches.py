from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import msgpack

from gateway.rules.aggregates import build_accumulator, build_fold
from gateway.rules.folds import Distinct, Percentile
from gateway.rules.sketches import ERROR, EXACT_MAX, DistinctSketch, PercentileSketch
from gateway.rules.spec import AggregateSpec
from tests.harness.rule_runs import run_events

NUMBERS = st.one_of(st.floats(1e-5, 1e11), st.floats(-1e11, -1e-5), st.just(0.0))


@given(st.lists(NUMBERS, min_size=1, max_size=60), st.floats(0, 100))
@settings(max_examples=150, deadline=None)
def test_a_percentile_is_within_a_hundredth_of_the_sample_that_it_stands_for(numbers, rank):
    sketch = PercentileSketch(rank)
    for number in numbers:
        sketch.push(0, number)
    wanted = sorted(numbers)[math.floor((len(numbers) - 1) * rank / 100)]
    assert sketch.result(0) == pytest.approx(wanted, rel=ERROR * 1.0001)


def test_the_wildest_numbers_need_no_more_than_a_bounded_number_of_buckets():
    sketch = PercentileSketch(50)
    for exponent in range(-308, 309):
        for sign in (-1, 1):
            for step in range(1, 10):
                sketch.push(0, sign * step * 10.0 ** min(exponent, 307))
    assert len(sketch.buckets) <= 4_150
    assert max(sketch.buckets) <= 2_075


def test_distinct_is_exact_up_to_a_thousand_and_near_beyond():
    sketch, exact = DistinctSketch(0), Distinct()
    for number in range(EXACT_MAX):
        for value in (number, float(number)):
            sketch.push(0, value)
            exact.push(0, value)
    assert sketch.result(0) == exact.result(0) == EXACT_MAX
    for count in (2_000, 10_000, 60_000):
        for number in range(count):
            sketch.push(0, number)
        assert sketch.result(0) == pytest.approx(count, rel=0.05)


@pytest.mark.parametrize("build", [lambda: PercentileSketch(90), lambda: DistinctSketch(0)])
def test_an_unpacked_sketch_goes_on_bit_for_bit(build):
    rng, sketch = random.Random(1), build()
    for number in range(3_000):
        if number % 500 == 0:
            twin = build()
            twin.unpack(msgpack.decode(msgpack.encode(sketch.pack())))
            assert twin.pack() == sketch.pack()
            sketch = twin
        sketch.push(0, rng.gauss(0, 100))
    assert sketch.count == 3_000


def test_only_windows_that_start_anew_use_a_sketch():
    spec = AggregateSpec("p", "median", is_sketch=True)
    assert isinstance(build_accumulator(spec), PercentileSketch)
    assert isinstance(build_fold(spec), Percentile)
    assert build_accumulator(AggregateSpec("p", "median")) is None


def test_a_rule_says_that_a_sketch_will_do():
    rule = (
        "- {id: r, from: plant/+, key: device, time: {by: event, field: payload.ts}, "
        "window: {tumbling: 1s}, aggregate: {p: 'percentile(payload.x, 90, sketch)'}, when: p > 85}"
    )
    events = [(place * 10, place) for place in range(101)]
    assert run_events(rule, events) == [("raised", 1_000)]
