import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.expression.operators import (
    BINARY,
    FAILURES,
    equal,
    finite,
    index,
    known,
    member,
    settle,
    truth,
)
from gateway.rules.values import UNKNOWN
from tests.harness.expression_reference import same
from tests.harness.expression_strategies import json_values


@given(json_values, json_values)
def test_equality_tells_types_apart(one, other):
    assert equal(one, other) is same(one, other)
    assert equal(one, one) is True


@given(st.sampled_from(sorted(BINARY)), json_values, json_values)
def test_operators_fail_in_known_ways_only(operator, left, right):
    with contextlib.suppress(FAILURES):
        BINARY[operator](left, right)


def test_remainders_have_the_sign_of_the_dividend():
    remainder = BINARY["%"]
    assert [remainder(a, b) for a, b in ((7, 3), (-7, 3), (7, -3), (-7, -3))] == [1, -1, 1, -1]
    assert remainder(2**62 + 1, 2**61) == 1
    assert remainder(-7.5, 2) == -1.5


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_only_finite_numbers_pass(value):
    with pytest.raises(ArithmeticError):
        finite(value)
    with pytest.raises(ArithmeticError):
        settle(value)


def test_settled_integers_fit_into_64_bits():
    assert type(settle(2**64 - 1)) is int
    assert type(settle(2**64)) is float
    with pytest.raises(OverflowError):
        settle(10**400)


def test_truth_is_not_guessed():
    assert truth(True) is True
    for value in (1, 0, "", "true", None, [], UNKNOWN):
        with pytest.raises(TypeError):
            truth(value)


def test_unknown_is_no_value():
    with pytest.raises(TypeError):
        known(UNKNOWN)
    with pytest.raises(TypeError):
        equal(UNKNOWN, UNKNOWN)


def test_lists_are_looked_into_up_to_a_bound():
    assert member(999, list(range(1_000))) is True
    with pytest.raises(ValueError):
        member(5, list(range(1_001)))


def test_positions_are_whole_and_not_negative():
    assert index([5, 6], 1.0) == 6
    for position in (-1, 0.5, True, "0", None, float("inf")):
        with pytest.raises(FAILURES):
            index([5, 6], position)
