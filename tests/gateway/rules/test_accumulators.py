from __future__ import annotations

import random

import pytest

from gateway.rules.aggregates import build_accumulator
from tests.gateway.rules.test_folds import random_value
from tests.harness.aggregate_twins import FUNCTIONS, agree, expected, spec_of

CONSTANT_MEMORY = [f for f in FUNCTIONS if build_accumulator(spec_of(f)) is not None]


@pytest.mark.parametrize("function", CONSTANT_MEMORY)
def test_an_accumulator_agrees_with_its_definition(function):
    rng = random.Random(5)
    accumulator, samples, now_ms = build_accumulator(spec_of(function)), [], 1_700_000_000_000
    for _ in range(200):
        now_ms += rng.randint(0, 2_000)
        samples.append((now_ms, random_value(function, rng)))
        accumulator.push(*samples[-1])
        wanted = expected(function, samples, now_ms)
        assert agree(function, accumulator.result(now_ms), wanted)


@pytest.mark.parametrize("function", CONSTANT_MEMORY)
def test_an_unpacked_accumulator_continues_bit_for_bit(function):
    rng = random.Random(6)
    accumulator = build_accumulator(spec_of(function))
    for now_ms in range(0, 5_000, 500):
        twin = build_accumulator(spec_of(function))
        twin.unpack(accumulator.pack())
        value = random_value(function, rng)
        accumulator.push(now_ms, value)
        twin.push(now_ms, value)
        assert repr(twin.result(now_ms)) == repr(accumulator.result(now_ms))


def test_aggregates_that_need_every_sample_have_no_accumulator():
    assert set(FUNCTIONS) - set(CONSTANT_MEMORY) == {"distinct", "list", "median", "percentile"}
