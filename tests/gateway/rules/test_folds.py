from __future__ import annotations

import math
import random

import pytest

from gateway.rules.aggregates import build_fold
from gateway.rules.folds import Mean
from tests.harness.aggregate_twins import FUNCTIONS, agree, expected, spec_of


def random_value(function, rng):
    if function == "duration_true":
        return rng.random() < 0.5
    if function == "topk":
        return [rng.choice("abcdefgh"), rng.randint(-20, 20)]
    return rng.choice([rng.randint(-5, 5), round(rng.uniform(-100, 100), 3)])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_fold_agrees_with_its_definition_while_samples_come_and_go(function):
    rng = random.Random(7)
    fold = build_fold(spec_of(function))
    samples, now_ms = [], 1_700_000_000_000
    for _ in range(600):
        now_ms += rng.randint(0, 3_000)
        if samples and rng.random() < 0.48:
            fold.pop(samples.pop(0)[1])
        else:
            samples.append((now_ms, random_value(function, rng)))
            fold.push(*samples[-1])
        got = fold.result(now_ms)
        assert agree(function, got, expected(function, samples, now_ms)), (got, samples)
        assert fold.count == len(samples)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_refilled_fold_continues_bit_for_bit(function):
    rng = random.Random(11)
    fold, samples, now_ms = build_fold(spec_of(function)), [], 0
    for _ in range(300):
        now_ms += rng.randint(0, 900)
        if samples and rng.random() < 0.45:
            fold.pop(samples.pop(0)[1])
        else:
            samples.append((now_ms, random_value(function, rng)))
            fold.push(*samples[-1])
        twin = build_fold(spec_of(function))
        twin.refill(samples, fold.mark)
        assert twin.count == fold.count
        assert repr(twin.result(now_ms)) == repr(fold.result(now_ms))
        fold = twin


def test_a_mean_forgets_a_spike_completely():
    mean, values = Mean(), []
    rng = random.Random(3)
    for step in range(2_000):
        values.append(1e12 if step % 400 == 0 else rng.uniform(20, 21))
        mean.push(step, values[-1])
        if len(values) > 300:
            mean.pop(values.pop(0))
        exact = math.fsum(values) / len(values)
        assert math.isclose(mean.result(step), exact, rel_tol=1e-13)


def test_distinct_counts_five_and_five_point_nought_as_one_and_true_apart_from_one():
    fold = build_fold(spec_of("distinct"))
    for value in (5, 5.0, True, 1, "1", [1], {"a": 1}):
        fold.push(0, value)
    assert fold.result(0) == 6
    fold.pop(5)
    assert fold.result(0) == 6
    fold.pop(5.0)
    assert fold.result(0) == 5
