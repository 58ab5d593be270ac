"""Expressions, ready to run: text in, a `gateway.rules.spec.Expression` out."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.errors import ExpressionInvalid
from gateway.rules.expression.checker import SPOKEN_KINDS, Checker, Environment
from gateway.rules.expression.closures import Closure, close
from gateway.rules.expression.compiler import Expected, compile_tree, is_settled
from gateway.rules.expression.nodes import Call, Node, unparse
from gateway.rules.expression.operators import FAILURES, equal, is_number, settle
from gateway.rules.expression.parser import parse
from gateway.rules.values import UNKNOWN, Kind, Value

MS_PER_S = 1_000


class CompiledExpression:
    """An expression that was parsed, checked and compiled; see `gateway.rules.spec.Expression`.

    `tree` is what was parsed; `slow` means the same as `evaluate`, as three-valued closures.
    """

    __slots__ = ("evaluate", "expected", "kind", "names", "slow", "stateful", "text", "tree")

    def __init__(self, text: str, tree: Node, environment: Environment, expected: Expected) -> None:
        checker = Checker(environment)
        kind = checker.check(tree)
        if expected != "any" and kind not in (expected, "any"):
            raise ExpressionInvalid(
                f"the expression must be {SPOKEN_KINDS[expected]}, not {SPOKEN_KINDS[kind]}",
                tree.column,
            )
        self.text = text
        self.tree = tree
        self.expected = expected
        self.kind: Kind = kind if expected == "any" else expected
        self.names = frozenset(checker.names)
        self.stateful = tuple(CompiledCall(call, environment) for call in checker.stateful)
        self.slow = _leaving(close(tree), tree, expected)
        self.evaluate = compile_tree(tree, self.slow, expected)

    def __repr__(self) -> str:
        return f"<expression {self.text!r}>"


class CompiledCall:
    """A call of `changed` or `since`; see `gateway.rules.spec.StatefulCall`."""

    __slots__ = ("argument", "function", "names", "slot")

    def __init__(self, call: Call, environment: Environment) -> None:
        (tree,) = call.arguments
        expected: Expected = "bool" if call.function == "since" else "any"
        self.slot = call.slot
        self.function = call.function
        self.argument = CompiledExpression(unparse(tree), tree, environment, expected)
        self.names = self.argument.names | ({"ts"} if call.function == "since" else set())

    def advance(self, memory: Value, scope: Mapping[str, object]) -> tuple[Value, Value]:
        """Take in one event; returns the new memory and the call's value now."""
        value = self.argument.evaluate(scope)
        if self.function == "changed":
            return _advance_changed(memory, value)
        return _advance_since(memory, value, scope.get("ts"))


def compile_expression(
    text: str, environment: Environment, expected: Expected = "any"
) -> CompiledExpression:
    """Compile one expression; with `expected`, a value of any other type is unknown.

    Raises:
        ExpressionInvalid: what is wrong, with its column in `text`.
    """
    return CompiledExpression(text, parse(text), environment, expected)


def _leaving(closure: Closure, tree: Node, expected: Expected) -> Closure:
    def evaluate(scope: Mapping[str, object]) -> Value:
        value = closure(scope)
        if expected == "bool":
            return value if value is True or value is False else UNKNOWN
        if value is UNKNOWN or (expected == "number" and not is_number(value)):
            return UNKNOWN
        try:
            return value if is_settled(tree) else settle(value)
        except FAILURES:
            return UNKNOWN

    return evaluate


def _advance_changed(memory: Value, value: Value) -> tuple[Value, Value]:
    """The memory is a list of the last known value, or None before there is one."""
    if value is UNKNOWN:
        return memory, UNKNOWN
    try:
        return [value], UNKNOWN if memory is None else not equal(memory[0], value)
    except FAILURES:
        return [value], UNKNOWN


def _advance_since(memory: Value, value: Value, ts: Value) -> tuple[Value, Value]:
    """The memory is the event time when the condition was last true."""
    if not is_number(ts):
        return memory, UNKNOWN
    if value is True:
        return ts, 0.0
    return memory, UNKNOWN if memory is None else (ts - memory) / MS_PER_S
