from __future__ import annotations

import random

import pytest

from gateway.rules.sliding_means import SlidingMean
from gateway.rules.spec import WindowSpec
from gateway.rules.values import UNKNOWN
from gateway.rules.windows import LeanSlidingWindow, SlidingWindow, WindowPlan
from tests.harness.aggregate_twins import spec_of

WINDOW = WindowSpec("sliding", size_ms=500, min_samples=2)


def drive(window, samples):
    looks = []
    for time_ms, value in samples:
        while window.due_ms <= time_ms:
            results = {}
            looks.append((window.fire(results), results))
        results = {}
        window.add(time_ms, [value], results)
        looks.append((time_ms, results))
    return looks


def random_samples(seed):
    rng, now_ms = random.Random(seed), 0
    for _ in range(1_500):
        now_ms += rng.choice([0, 1, 3, 7, 100, 499, 500, 501])
        yield now_ms, rng.choice([rng.uniform(-50, 50), 7, 10**15, UNKNOWN, True, float("inf")])


@pytest.mark.parametrize("other", [SlidingWindow, LeanSlidingWindow])
def test_it_equals_the_general_window_bit_for_bit(other):
    plan = WindowPlan(WINDOW, [spec_of("avg")])
    samples = list(random_samples(other.__name__))
    mean = plan.open()
    assert isinstance(mean, SlidingMean)
    assert repr(drive(mean, samples)) == repr(drive(other(plan), samples))


def test_it_continues_bit_for_bit_from_what_it_packed():
    plan = WindowPlan(WINDOW, [spec_of("avg")])
    whole, cut = plan.open(), plan.open()
    for sample in random_samples(5):
        twin = plan.open()
        twin.unpack(cut.pack())
        cut = twin
        assert repr(drive(cut, [sample])) == repr(drive(whole, [sample]))


def test_a_full_window_lets_its_oldest_sample_go():
    mean, results = (
        SlidingMean(WindowPlan(WindowSpec("sliding", size_ms=10_000), [spec_of("avg", "m")], 3)),
        {},
    )
    for time_ms in range(200):
        mean.add(time_ms, [time_ms], results)
    assert results["m"] == 198
    assert mean.pack() == [[200, [3], [197, 198, 199], [[197.0, 198.0, 199.0]]]]
