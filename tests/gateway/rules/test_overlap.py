import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rules.expression.compiled import compile_expression
from gateway.rules.overlap import Span, can_both_hold, implies, is_never_true
from tests.harness.expression_strategies import ENVIRONMENT

COMPARE = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
# Every comparison with a whole number between 0 and 4 changes its answer only at these places.
PLACES = [place / 2 for place in range(-2, 12)]

claims = st.lists(
    st.tuples(st.sampled_from(sorted(COMPARE)), st.integers(0, 4), st.booleans()),
    min_size=1,
    max_size=3,
)


def text_of(claim):
    return " && ".join(
        f"{number} {MIRROR[sign]} avg" if mirrored else f"avg {sign} {number}"
        for sign, number, mirrored in claim
    )


MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "=="}


def holds(claim, value):
    return all(COMPARE[sign](value, number) for sign, number, _ in claim)


def compiled(text):
    return compile_expression(text, ENVIRONMENT, "bool")


@settings(max_examples=300, deadline=None)
@given(claims, claims)
def test_spans_agree_with_trying_every_value(one, other):
    values = [value for value in PLACES if holds(one, value)]
    first, second = compiled(text_of(one)), compiled(text_of(other))
    assert is_never_true(first) is not any(values) or 0.0 in values
    assert can_both_hold(first, second) is any(holds(other, value) for value in values)
    if values:
        assert implies(first, second) is all(holds(other, value) for value in values)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("avg > 5 || avg < 3", "avg > 5"),
        ("avg > payload.limit", "avg < 3"),
        ("avg != 5", "avg == 5"),
        ("avg > 5 && is_open", "avg > 5"),
        ("avg > 5", "payload.x > 5"),
        ("payload.x == 5", "payload.x == 'a'"),
        ("payload.x == [1]", "payload.x == 5"),
        ("!(avg > 5)", "avg > 5"),
    ],
)
def test_nothing_is_said_where_texts_cannot_tell(one, other):
    assert can_both_hold(compiled(one), compiled(other)) is None
    assert not implies(compiled(one), compiled(other))


def test_truth_values_and_texts_exclude_each_other():
    assert can_both_hold(compiled("is_open"), compiled("!is_open")) is False
    assert can_both_hold(compiled("payload.s == 'a'"), compiled("payload.s == 'b'")) is False
    assert implies(compiled("payload.s == 'a'"), compiled("payload.s == 'a'")) is True


def test_spans_meet_at_their_bounds():
    assert Span(low=5).meet(Span(high=5)).is_empty is False
    assert Span(low=5, low_is_out=True).meet(Span(high=5)).is_empty is True
