"""Aggregates of windows that only grow: constant memory, however many samples there are."""

from __future__ import annotations

from typing import Protocol

from gateway.rules.moments import Monoid, State
from gateway.rules.values import INTEGER_MAX, UNKNOWN, Value


class Accumulator(Protocol):
    """One aggregate of a window that only grows: constant memory, however many samples."""

    @property
    def count(self) -> int: ...

    def push(self, time_ms: int, value: Value) -> None: ...

    def result(self, now_ms: int) -> Value: ...

    def pack(self) -> list[Value]:
        """Its state as plain values."""
        ...

    def unpack(self, packed: list[Value]) -> None:
        """Become what `pack` was called on."""
        ...


class RunningCount:
    """How many samples there were."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def push(self, _time_ms: int, _value: Value) -> None:
        self.count += 1

    def result(self, _now_ms: int) -> Value:
        return self.count

    def pack(self) -> list[Value]:
        return [self.count]

    def unpack(self, packed: list[Value]) -> None:
        (self.count,) = packed


class RunningTotal:
    """A sum or mean of a window that only grows."""

    __slots__ = ("count", "is_mean", "total")

    def __init__(self, *, is_mean: bool) -> None:
        self.is_mean = is_mean
        self.count = 0
        self.total: float = 0

    def push(self, _time_ms: int, value: Value) -> None:
        self.count += 1
        self.total += value
        if not -INTEGER_MAX <= self.total <= INTEGER_MAX:
            # What is stored has 64 bits; beyond them a sum goes on as a float.
            self.total = float(self.total)

    def result(self, _now_ms: int) -> Value:
        if not self.count:
            return UNKNOWN
        return self.total / self.count if self.is_mean else self.total

    def pack(self) -> list[Value]:
        return [self.count, self.total]

    def unpack(self, packed: list[Value]) -> None:
        self.count, self.total = packed


class RunningExtreme:
    """The least or greatest sample of a window that only grows."""

    __slots__ = ("best", "count", "is_max")

    def __init__(self, *, is_max: bool) -> None:
        self.is_max = is_max
        self.count = 0
        self.best: Value = UNKNOWN

    def push(self, _time_ms: int, value: Value) -> None:
        if not self.count or (value > self.best if self.is_max else value < self.best):
            self.best = value
        self.count += 1

    def result(self, _now_ms: int) -> Value:
        return self.best

    def pack(self) -> list[Value]:
        return [self.count, self.best if self.count else None]

    def unpack(self, packed: list[Value]) -> None:
        self.count, best = packed
        self.best = best if self.count else UNKNOWN


class RunningMonoid:
    """Any monoid over a window that only grows."""

    __slots__ = ("count", "monoid", "state")

    def __init__(self, monoid: Monoid) -> None:
        self.monoid = monoid
        self.count = 0
        self.state: State | None = None

    def push(self, time_ms: int, value: Value) -> None:
        lifted = self.monoid.lift(time_ms, value)
        self.state = lifted if self.state is None else self.monoid.combine(self.state, lifted)
        self.count += 1

    def result(self, now_ms: int) -> Value:
        return UNKNOWN if self.state is None else self.monoid.lower(self.state, now_ms)

    def pack(self) -> list[Value]:
        return [self.count, self.state]

    def unpack(self, packed: list[Value]) -> None:
        self.count = packed[0]
        self.state = None if packed[1] is None else tuple(packed[1])
