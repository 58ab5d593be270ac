"""`name: function(arguments)` under `aggregate`: which calls there are, and what they take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.documents import did_you_mean
from gateway.errors import ExpressionInvalid
from gateway.rules.expression.checker import Environment
from gateway.rules.expression.compiled import CompiledExpression
from gateway.rules.expression.compiler import Expected
from gateway.rules.expression.functions import AGGREGATES, FUNCTIONS
from gateway.rules.expression.nodes import Call, Duration, Items, Literal, Name, Node, unparse
from gateway.rules.expression.parser import parse
from gateway.rules.spec import AggregateSpec
from gateway.rules.values import Kind

LIST_MAX: Final = 100
RANK_MAX: Final = 100.0
SKETCH: Final = "sketch"
ANY_VALUE = frozenset({"first", "last", "distinct", "list"})
SKETCHED = frozenset({"percentile", "median", "distinct"})
RESULT_KINDS: Final[dict[str, Kind]] = {
    "first": "any",
    "last": "any",
    "list": "list",
    "topk": "list",
}


def result_kind(spec: AggregateSpec) -> Kind:
    """The type of the aggregate's value."""
    return RESULT_KINDS.get(spec.function, "number")


def parse_aggregate(name: str, text: str, environment: Environment) -> AggregateSpec:
    """Read one aggregate.

    Raises:
        ExpressionInvalid: no call of an aggregate, or wrong arguments, with the column in `text`.
    """
    tree = parse(text)
    if not isinstance(tree, Call):
        raise ExpressionInvalid(
            "an aggregate is one call, such as avg(payload.value); compute with its name elsewhere",
            tree.column,
        )
    usage = AGGREGATES.get(tree.function)
    if usage is None:
        raise ExpressionInvalid(_unknown(tree.function), tree.column)
    arguments = _Arguments(tree, usage, environment)
    spec = _READERS.get(tree.function, _one_value)(name, arguments)
    arguments.finish()
    return spec


def _unknown(function: str) -> str:
    hint = did_you_mean(function, AGGREGATES) or f"; known are {', '.join(AGGREGATES)}"
    if function in FUNCTIONS:
        return f"'{function}' is a function of one value, no aggregate{hint}"
    return f"unknown aggregate '{function}'{hint}"


class _Arguments:
    """The arguments of one call, taken from the left; a trailing `sketch` is taken first."""

    def __init__(self, call: Call, usage: str, environment: Environment) -> None:
        self.call = call
        self.usage = usage
        self._environment = environment
        self._left = list(call.arguments)
        self.is_sketch = call.function in SKETCHED and self._ends_with_sketch()
        if self.is_sketch:
            self._left.pop()

    def _ends_with_sketch(self) -> bool:
        last = self._left[-1] if self._left else None
        return isinstance(last, Name) and last.name == SKETCH

    def _next(self) -> Node:
        if not self._left:
            raise ExpressionInvalid(f"too few arguments; write {self.usage}", self.call.column)
        return self._left.pop(0)

    def expression(self, expected: Expected) -> CompiledExpression:
        tree = self._next()
        return CompiledExpression(unparse(tree), tree, self._environment, expected)

    def together(self, *parts: CompiledExpression) -> CompiledExpression:
        """Several arguments as one list; unknown where one of them is."""
        tree = Items(self.call.column, tuple(part.tree for part in parts))
        return CompiledExpression(unparse(tree), tree, self._environment, "any")

    def constant(self, least: float, most: float, *, whole: bool) -> float:
        node = self._next()
        value = node.value if isinstance(node, Literal) else None
        is_fit = type(value) is int or (type(value) is float and not whole)
        if not is_fit or not least <= value <= most:  # type: ignore[operator] # a number by now
            kind = "a whole number" if whole else "a number"
            raise ExpressionInvalid(f"must be {kind} from {least:g} to {most:g}", node.column)
        return float(value)  # type: ignore[arg-type] # a number by now

    def duration_ms(self) -> float:
        node = self._next()
        if not isinstance(node, Duration) or node.ms == 0:
            raise ExpressionInvalid(
                f"must be a duration (write 30s, 5m, 1h30m), as in {self.usage}", node.column
            )
        return float(node.ms)

    def finish(self) -> None:
        if self._left:
            raise ExpressionInvalid(f"too many arguments; write {self.usage}", self._left[0].column)


def _one_value(name: str, arguments: _Arguments) -> AggregateSpec:
    function = arguments.call.function
    value = arguments.expression("any" if function in ANY_VALUE else "number")
    return AggregateSpec(name, function, value, is_sketch=arguments.is_sketch)


def _count(name: str, arguments: _Arguments) -> AggregateSpec:
    return AggregateSpec(name, "count")


def _duration_true(name: str, arguments: _Arguments) -> AggregateSpec:
    return AggregateSpec(name, "duration_true", arguments.expression("bool"))


def _percentile(name: str, arguments: _Arguments) -> AggregateSpec:
    value = arguments.expression("number")
    rank = arguments.constant(0, RANK_MAX, whole=False)
    return AggregateSpec(name, "percentile", value, parameter=rank, is_sketch=arguments.is_sketch)


def _ewma(name: str, arguments: _Arguments) -> AggregateSpec:
    value = arguments.expression("number")
    return AggregateSpec(name, "ewma", value, parameter=arguments.duration_ms())


def _list(name: str, arguments: _Arguments) -> AggregateSpec:
    value = arguments.expression("any")
    return AggregateSpec(name, "list", value, parameter=arguments.constant(1, LIST_MAX, whole=True))


def _topk(name: str, arguments: _Arguments) -> AggregateSpec:
    by, value = arguments.expression("any"), arguments.expression("number")
    take = arguments.constant(1, LIST_MAX, whole=True)
    return AggregateSpec(name, "topk", arguments.together(by, value), by, take)


_READERS: Final[dict[str, Callable[[str, _Arguments], AggregateSpec]]] = {
    "count": _count,
    "duration_true": _duration_true,
    "percentile": _percentile,
    "ewma": _ewma,
    "list": _list,
    "topk": _topk,
}
