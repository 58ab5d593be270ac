"""Whether two conditions can hold at once, or one follows from another, where their texts can tell.

Only conjunctions of comparisons of one value with constants are understood; of anything else
nothing is said.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from gateway.rules.expression.nodes import Binary, Literal, Logic, Node, Not, unparse
from gateway.rules.expression.parser import parse
from gateway.rules.spec import Expression
from gateway.rules.values import Value

MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "=="}


class Span(NamedTuple):
    """Numbers between two bounds, of which each may itself be left out."""

    low: float = -math.inf
    high: float = math.inf
    low_is_out: bool = False
    high_is_out: bool = False

    @property
    def is_empty(self) -> bool:
        return self.low > self.high or (
            self.low == self.high and (self.low_is_out or self.high_is_out)
        )

    def meet(self, other: Span) -> Span:
        """The numbers that lie in both."""
        low, low_is_out = max((self.low, self.low_is_out), (other.low, other.low_is_out))
        high, high_is_in = min(
            (self.high, not self.high_is_out), (other.high, not other.high_is_out)
        )
        return Span(low, high, low_is_out, not high_is_in)


Allowed = Span | frozenset[Value]


def can_both_hold(one: Expression, other: Expression) -> bool | None:
    """Whether some value makes both true; None when the texts can't tell."""
    subject, allowed = _only_claim(parse(one.text))
    other_subject, other_allowed = _only_claim(parse(other.text))
    if allowed is None or other_allowed is None or subject != other_subject:
        return None
    met = _meet(allowed, other_allowed)
    return None if met is None else not _is_empty(met)


def implies(one: Expression, other: Expression) -> bool | None:
    """Whether `other` is true whenever `one` is; None when the texts can't tell."""
    subject, allowed = _only_claim(parse(one.text))
    other_subject, other_allowed = _only_claim(parse(other.text))
    if allowed is None or other_allowed is None or subject != other_subject:
        return None
    return _meet(allowed, other_allowed) == allowed


def is_never_true(expression: Expression) -> bool:
    """Whether no value can make it true, as in `x > 5 && x < 3`."""
    _, allowed = _only_claim(parse(expression.text))
    return allowed is not None and _is_empty(allowed)


def _only_claim(tree: Node) -> tuple[str, Allowed | None]:
    """The one value that a condition speaks of, and which of its values make it true."""
    claims = [_claim(item) for item in _conjuncts(tree)]
    subject, allowed = claims[0]
    for other_subject, other in claims[1:]:
        if subject != other_subject or allowed is None or other is None:
            return subject, None
        allowed = _meet(allowed, other)
    return subject, allowed


def _conjuncts(tree: Node) -> list[Node]:
    if isinstance(tree, Logic) and tree.operator == "&&":
        return [part for item in tree.items for part in _conjuncts(item)]
    return [tree]


def _claim(tree: Node) -> tuple[str, Allowed | None]:
    if isinstance(tree, Not):
        subject, allowed = _claim(tree.operand)
        return subject, _without(allowed)
    if isinstance(tree, Binary) and tree.operator in MIRRORED:
        if isinstance(tree.right, Literal):
            return unparse(tree.left), _allowed(tree.operator, tree.right.value)
        if isinstance(tree.left, Literal):
            return unparse(tree.right), _allowed(MIRRORED[tree.operator], tree.left.value)
    if isinstance(tree, (Binary, Logic)):
        return unparse(tree), None
    return unparse(tree), frozenset({True})


def _without(allowed: Allowed | None) -> Allowed | None:
    if isinstance(allowed, frozenset) and allowed <= {True, False}:
        return frozenset({True, False}) - allowed
    return None


def _allowed(operator: str, value: Value) -> Allowed | None:  # noqa: PLR0911 - a line an operator
    if operator == "==" and (value is None or isinstance(value, (str, bool))):
        return frozenset({value})
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    match operator:
        case "<":
            return Span(high=value, high_is_out=True)
        case "<=":
            return Span(high=value)
        case ">":
            return Span(low=value, low_is_out=True)
        case ">=":
            return Span(low=value)
        case _:
            return Span(value, value)


def _meet(one: Allowed, other: Allowed) -> Allowed | None:
    if isinstance(one, Span) and isinstance(other, Span):
        return one.meet(other)
    if isinstance(one, frozenset) and isinstance(other, frozenset):
        return one & other
    return None


def _is_empty(allowed: Allowed) -> bool:
    return allowed.is_empty if isinstance(allowed, Span) else not allowed
