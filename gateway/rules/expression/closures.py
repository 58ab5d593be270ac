"""The slow path: a tree as three-valued closures, exact for every mixture of known and unknown.

The compiled code of `compiler` is used while everything is known; this decides whenever something
is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.rules.expression.nodes import (
    Binary,
    Call,
    Conditional,
    Field,
    Has,
    Index,
    Items,
    Literal,
    Logic,
    Name,
    Negative,
    Node,
    Not,
    Quantifier,
)
from gateway.rules.expression.operators import BINARY, FAILURES, index, listed, negate
from gateway.rules.values import LIST_ITEMS_MAX, UNKNOWN, Value

Closure = Callable[[Mapping[str, object]], Value]


def close(node: Node) -> Closure:  # noqa: C901, PLR0911, PLR0912 - one line for each sort of node
    """Build the closure of a checked tree; it returns UNKNOWN instead of raising."""
    match node:
        case Literal():
            value = node.value
            return lambda scope: value
        case Name():
            name = node.name
            return lambda scope: scope.get(name, UNKNOWN)
        case Field():
            return _field(node)
        case Index():
            return _binary(index, close(node.base), close(node.index))
        case Items():
            return _applied(listed, tuple(close(item) for item in node.items))
        case Not():
            return _not(close(node.operand))
        case Negative():
            return _applied(negate, (close(node.operand),))
        case Binary():
            return _binary(BINARY[node.operator], close(node.left), close(node.right))
        case Logic():
            return _logic(tuple(close(item) for item in node.items), decides=node.operator == "||")
        case Conditional():
            return _conditional(close(node.test), close(node.yes), close(node.no))
        case Has():
            return _has(node.path)
        case Quantifier():
            return _quantifier(node)
        case Call():
            return _call(node)
    raise TypeError(f"{type(node).__name__} can't be evaluated")


def _applied(function: Callable[..., Value], operands: tuple[Closure, ...]) -> Closure:
    def apply(scope: Mapping[str, object]) -> Value:
        values = [operand(scope) for operand in operands]
        for value in values:
            if value is UNKNOWN:
                return UNKNOWN
        try:
            return function(*values)
        except FAILURES:
            return UNKNOWN

    return apply


def _binary(function: Callable[[Value, Value], Value], left: Closure, right: Closure) -> Closure:
    def apply(scope: Mapping[str, object]) -> Value:
        one = left(scope)
        if one is UNKNOWN:
            return UNKNOWN
        other = right(scope)
        if other is UNKNOWN:
            return UNKNOWN
        try:
            return function(one, other)
        except FAILURES:
            return UNKNOWN

    return apply


def _field(node: Field) -> Closure:
    base, name = close(node.base), node.name

    def look_up(scope: Mapping[str, object]) -> Value:
        found = base(scope)
        return found.get(name, UNKNOWN) if type(found) is dict else UNKNOWN

    return look_up


def _not(operand: Closure) -> Closure:
    def negation(scope: Mapping[str, object]) -> Value:
        value = operand(scope)
        return (value is False) if value is True or value is False else UNKNOWN

    return negation


def _logic(items: tuple[Closure, ...], *, decides: bool) -> Closure:
    """`||` is decided by one true operand, `&&` by one false one, wherever it stands."""

    def combine(scope: Mapping[str, object]) -> Value:
        result: Value = not decides
        for item in items:
            value = item(scope)
            if value is decides:
                return decides
            if value is not (not decides):
                result = UNKNOWN
        return result

    return combine


def _conditional(test: Closure, yes: Closure, no: Closure) -> Closure:
    def choose(scope: Mapping[str, object]) -> Value:
        value = test(scope)
        if value is True:
            return yes(scope)
        return no(scope) if value is False else UNKNOWN

    return choose


def _has(path: Name | Field) -> Closure:
    if isinstance(path, Name):
        name = path.name
        return lambda scope: scope.get(name, UNKNOWN) is not UNKNOWN
    base = close(path.base)
    key = path.name

    def has(scope: Mapping[str, object]) -> Value:
        found = base(scope)
        return key in found if type(found) is dict else UNKNOWN

    return has


def _quantifier(node: Quantifier) -> Closure:
    source, condition, variable = close(node.source), close(node.condition), node.variable
    decides = node.function == "exists"

    def quantify(scope: Mapping[str, object]) -> Value:
        items = source(scope)
        if type(items) is not list or len(items) > LIST_ITEMS_MAX:
            return UNKNOWN
        result: Value = not decides
        inner = dict(scope)
        for item in items:
            inner[variable] = item
            value = condition(inner)
            if value is decides:
                return decides
            if value is not (not decides):
                result = UNKNOWN
        return result

    return quantify


def _call(node: Call) -> Closure:
    if node.target is None:
        slot = node.slot
        return lambda scope: scope.get(slot, UNKNOWN)
    return _applied(node.target, tuple(close(operand) for operand in node.operands))
