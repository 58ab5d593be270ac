import pytest

from gateway.rules.expression.closures import close
from gateway.rules.expression.compiled import compile_expression
from gateway.rules.expression.nodes import Duration
from gateway.rules.values import UNKNOWN
from tests.harness.expression_strategies import ENVIRONMENT

VALUES = {"true": True, "false": False, "payload.missing": UNKNOWN}


@pytest.mark.parametrize("left", VALUES)
@pytest.mark.parametrize("right", VALUES)
def test_the_truth_tables_are_those_of_kleene(left, right):
    one, other = VALUES[left], VALUES[right]
    both = (
        False if one is False or other is False else (UNKNOWN if UNKNOWN in (one, other) else True)
    )
    either = (
        True if one is True or other is True else (UNKNOWN if UNKNOWN in (one, other) else False)
    )
    for text, value in ((f"{left} && {right}", both), (f"{left} || {right}", either)):
        closure = close(compile_expression(text, ENVIRONMENT).tree)
        assert closure({"payload": {}}) is value


def test_a_value_that_is_no_truth_value_counts_as_unknown():
    for text, value in (("payload.n && false", False), ("payload.n || false", UNKNOWN)):
        closure = close(compile_expression(text, ENVIRONMENT).tree)
        assert closure({"payload": {"n": 1}}) is value


def test_lists_beyond_the_bound_are_not_looked_through():
    closure = close(compile_expression("exists(payload.xs, x, true)", ENVIRONMENT).tree)
    assert closure({"payload": {"xs": [1] * 1_000}}) is True
    assert closure({"payload": {"xs": [1] * 1_001}}) is UNKNOWN


def test_what_is_no_expression_is_refused():
    with pytest.raises(TypeError, match="Duration"):
        close(Duration(1, 5_000, "5s"))
