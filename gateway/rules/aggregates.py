"""Every aggregate of the language by its name: what computes it, and what it takes for a sample."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from itertools import islice

from gateway.rules.accumulators import (
    Accumulator,
    RunningCount,
    RunningExtreme,
    RunningMonoid,
    RunningTotal,
)
from gateway.rules.folds import (
    Count,
    Distinct,
    Ends,
    Extreme,
    Fold,
    Mean,
    Percentile,
    Range,
    Stacked,
    Sum,
)
from gateway.rules.moments import MONOIDS, Delta, First, Last, Spread
from gateway.rules.sketches import DistinctSketch, PercentileSketch
from gateway.rules.spec import AggregateSpec
from gateway.rules.tops import RunningTop, Top
from gateway.rules.values import UNKNOWN, Value

LIST_MAX = 100
FLOAT_MAX = sys.float_info.max


def is_number(value: Value) -> bool:
    """Whether the value can be computed with: a finite number, and no truth value."""
    return type(value) is int or (type(value) is float and -FLOAT_MAX <= value <= FLOAT_MAX)


def is_pair(value: Value) -> bool:
    """Whether the value is a sample of `topk`: what it is grouped by, and a number."""
    return type(value) is list and value[0] is not None and is_number(value[1])


def _first(values: deque[Value]) -> Value:
    return values[0]


def _last(values: deque[Value]) -> Value:
    return values[-1]


def _delta(values: deque[Value]) -> Value:
    return values[-1] - values[0]


def _newest(count: int) -> Callable[[deque[Value]], Value]:
    return lambda values: list(islice(values, max(0, len(values) - count), None))


FOLDS: dict[str, Callable[[float], Fold]] = {
    "count": lambda _: Count(),
    "sum": lambda _: Sum(),
    "avg": lambda _: Mean(),
    "min": lambda _: Extreme(is_max=False),
    "max": lambda _: Extreme(is_max=True),
    "range": lambda _: Range(),
    "median": lambda _: Percentile(50),
    "percentile": Percentile,
    "distinct": lambda _: Distinct(),
    "first": lambda _: Ends(_first),
    "last": lambda _: Ends(_last),
    "delta": lambda _: Ends(_delta),
    "list": lambda count: Ends(_newest(min(int(count), LIST_MAX))),
    "topk": Top,
}
ACCUMULATORS: dict[str, Callable[[float], Accumulator]] = {
    "count": lambda _: RunningCount(),
    "sum": lambda _: RunningTotal(is_mean=False),
    "avg": lambda _: RunningTotal(is_mean=True),
    "min": lambda _: RunningExtreme(is_max=False),
    "max": lambda _: RunningExtreme(is_max=True),
    "range": lambda _: RunningMonoid(Spread()),
    "first": lambda _: RunningMonoid(First()),
    "last": lambda _: RunningMonoid(Last()),
    "delta": lambda _: RunningMonoid(Delta()),
    "topk": RunningTop,
}
SKETCHES: dict[str, Callable[[float], Accumulator]] = {
    "median": lambda _: PercentileSketch(50),
    "percentile": PercentileSketch,
    "distinct": DistinctSketch,
}
ANY_VALUE = frozenset({"count", "first", "last", "list", "distinct"})
TRUTH_VALUE = frozenset({"duration_true"})


def build_fold(spec: AggregateSpec) -> Fold:
    """A fold for windows whose oldest samples leave."""
    parameter = spec.parameter if spec.parameter is not None else 0.0
    if spec.function in MONOIDS:
        return Stacked(MONOIDS[spec.function](parameter))
    return FOLDS[spec.function](parameter)


def build_accumulator(spec: AggregateSpec) -> Accumulator | None:
    """The same for windows that only grow; None when the aggregate needs its samples."""
    if spec.function in MONOIDS:
        return RunningMonoid(MONOIDS[spec.function](spec.parameter or 0.0))
    build = (SKETCHES if spec.is_sketch else ACCUMULATORS).get(spec.function)
    return build(spec.parameter or 0.0) if build is not None else None


def accepts(function: str) -> Callable[[Value], bool]:
    """The test that a value must pass to become a sample of the aggregate `function`."""
    if function in ANY_VALUE:
        return lambda value: value is not UNKNOWN and value is not None
    if function == "topk":
        return is_pair
    if function in TRUTH_VALUE:
        return lambda value: value is True or value is False
    return is_number
