"""Several expressions as one function: each event is shown to all plain rules of a lane at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.rules.spec import Expression, Scope
from gateway.rules.values import Value


def fuse(expressions: Sequence[Expression]) -> Callable[[Scope], tuple[Value, ...]]:
    """A function that gives the values of all the expressions, in their order."""
    functions = [expression.evaluate for expression in expressions]

    def evaluate_all(scope: Scope) -> tuple[Value, ...]:
        return tuple([evaluate(scope) for evaluate in functions])

    return evaluate_all
