from __future__ import annotations

import json
import math
import random

import pytest

from gateway.rules.anomalies.methods import METHODS
from gateway.rules.anomalies.scores import VALUE_MAX
from gateway.rules.features import ANOMALY_METHODS
from tests.harness.anomaly_twins import TWINS, spec_of


def series(seed, length=130):
    """A series with noise, steps, spikes and spells in which nothing changes."""
    rng, now_ms, level, values = random.Random(seed), 0, 20.0, []
    for _ in range(length):
        now_ms += rng.choice([0, 500, 1_000, 1_000, 1_000, 7_000])
        level += rng.choice([0] * 30 + [-15, 15])
        value = level + rng.gauss(0, 1)
        if rng.random() < 0.04:
            value += rng.choice([-40, 40, 1e9])
        if values and rng.random() < 0.25:
            value = values[-1][1]
        values.append((now_ms, value))
    return values


def close(got, wanted):
    if got is None or wanted is None:
        return got is wanted
    return math.isclose(got, wanted, rel_tol=1e-6, abs_tol=1e-6)


def test_every_method_that_runs_has_a_name_in_the_language_and_a_twin():
    assert set(METHODS) <= set(ANOMALY_METHODS)
    assert set(METHODS) == set(TWINS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(4))
def test_a_method_agrees_with_its_definition(method, seed):
    spec, values = spec_of(method), series(seed)
    running = METHODS[method](spec)
    for place, value in enumerate(values, 1):
        assert close(running.take(*value), TWINS[method](values[:place], spec)), place


@pytest.mark.parametrize("method", METHODS)
def test_an_unpacked_method_goes_on_bit_for_bit(method):
    values = series("cut", 200)
    for cut in (0, 5, 60, 131):
        one, other = METHODS[method](spec_of(method)), METHODS[method](spec_of(method))
        for value in values[:cut]:
            one.take(*value)
        packed = json.loads(json.dumps([one.pack(), one.numbers(), one.taken]))
        other.unpack(*packed)
        assert other.taken == one.taken
        scores = [(one.take(*value), other.take(*value)) for value in values[cut:]]
        assert all(a == b for a, b in scores)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_knows_no_more_than_its_history(method):
    running = METHODS[method](spec_of(method, history=25))
    for place, value in enumerate(series("long", 400)):
        running.take(*value)
        assert len(running.numbers()) <= 25 * (3 if method == "contextual" else 1)
        assert len(json.dumps(running.pack())) < 1_500, place


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("wild", [VALUE_MAX, -VALUE_MAX, 5e-324, 0.0])
def test_the_wildest_numbers_give_a_score_that_is_a_number(method, wild):
    running = METHODS[method](spec_of(method, warmup=3))
    values = [1.0, 2.0, 1.5, 2.5, wild, -wild, wild, 1.0, 1.0, wild / 2, 3.0]
    scores = [running.take(place * 3_600_000, value) for place, value in enumerate(values * 8)]
    known = [score for score in scores if score is not None]
    assert known
    assert all(-1e6 <= score <= 1e6 for score in known)
