"""What an expression comes to, part by part: each value, and why an unknown one is unknown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from gateway.rules.expression.closures import close
from gateway.rules.expression.nodes import (
    COMPARISONS,
    Binary,
    Duration,
    Field,
    Index,
    Literal,
    Logic,
    Name,
    Node,
    Not,
    Quantifier,
    unparse,
)
from gateway.rules.spec import Expression
from gateway.rules.values import UNKNOWN, Value

PARTS_MAX: Final = 64
FAR: Final = math.inf
KINDS: Final = {bool: "true or false", int: "a number", float: "a number", str: "a text"}


class Part(NamedTuple):
    """One part of an expression with its value; `why` says why an unknown one is unknown."""

    depth: int
    text: str
    value: Value
    why: str


def tree_of(expression: Expression) -> Node | None:
    """The parse tree of a compiled expression; None for another sort of expression."""
    tree = getattr(expression, "tree", None)
    return tree if isinstance(tree, Node) else None


def parts_of(expression: Expression, scope: Mapping[str, object]) -> list[Part]:
    """The values of an expression and of all its parts, each before those below it.

    Constants are left out, and what depends on the variable of a quantifier.
    """
    tree = tree_of(expression)
    if tree is None:
        value = expression.evaluate(scope)
        return [Part(0, expression.text, value, "")]
    return list(_parts(tree, scope, 0, set()))[:PARTS_MAX]


def _parts(node: Node, scope: Mapping[str, object], depth: int, seen: set[str]) -> Iterator[Part]:
    text = unparse(node)
    if isinstance(node, (Literal, Duration)) or text in seen:
        return
    seen.add(text)
    value = close(node)(scope)
    yield Part(depth, text, value, why_unknown(node, scope) if value is UNKNOWN else "")
    if isinstance(node, Name) or _is_path(node):
        return
    below = (node.source,) if isinstance(node, Quantifier) else node.children()
    for child in below:
        yield from _parts(child, scope, depth + 1, seen)


def _is_path(node: Node) -> bool:
    return isinstance(node, (Field, Index))


def why_unknown(node: Node, scope: Mapping[str, object]) -> str:
    """Why the value of a node is unknown: what is missing, or of the wrong sort, at the bottom."""
    match node:
        case Name():
            return f"'{node.name}' is not known"
        case Field():
            return _why_no_field(node, scope)
        case Quantifier():
            return _why_below(node.source, scope) or "an item has not what the condition reads"
    for child in node.children():
        if why := _why_below(child, scope):
            return why
    kinds = [_kind(close(child)(scope)) for child in node.children()]
    return f"not possible with {' and '.join(kinds)}" if kinds else "it has no value"


def _why_below(node: Node, scope: Mapping[str, object]) -> str:
    return why_unknown(node, scope) if close(node)(scope) is UNKNOWN else ""


def _why_no_field(node: Field, scope: Mapping[str, object]) -> str:
    base = close(node.base)(scope)
    if base is UNKNOWN:
        if isinstance(node.base, Name) and node.base.name == "payload":
            return "the payload is no JSON"
        return why_unknown(node.base, scope)
    if isinstance(base, dict):
        return f"{unparse(node.base)} has no field '{node.name}'"
    return f"{unparse(node.base)} is {_kind(base)} and has no fields"


def _kind(value: Value) -> str:
    if value is None:
        return "null"
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    return KINDS.get(type(value), "something unknown")


def distance(node: Node, scope: Mapping[str, object]) -> float:
    """How far a condition is from being true: 0 when it is, infinite when nobody can say.

    A comparison of numbers is as far as they lie apart, in parts of the second; of several
    conditions that must all hold the farthest counts, of alternatives the nearest.
    """
    value = close(node)(scope)
    if value is True:
        return 0.0
    if value is UNKNOWN:
        return FAR
    if isinstance(node, Logic):
        found = [distance(item, scope) for item in node.items]
        return max(found) if node.operator == "&&" else min(found)
    if isinstance(node, Not) and isinstance(node.operand, Binary):
        return _gap(node.operand, scope)
    if isinstance(node, Binary):
        return _gap(node, scope)
    return FAR


def _gap(node: Binary, scope: Mapping[str, object]) -> float:
    if node.operator not in COMPARISONS:
        return FAR
    left, right = close(node.left)(scope), close(node.right)(scope)
    if not all(type(side) in (int, float) for side in (left, right)):
        return FAR
    return float(abs(left - right) / max(abs(right), 1e-9))
