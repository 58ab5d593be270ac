"""Values at even steps: the mean of what came in each."""

from __future__ import annotations

from gateway.rules.instants import NEVER
from gateway.rules.values import Value


class Resampler:
    """Means over `[start, start + step)`, aligned to the epoch; a step without values has none."""

    __slots__ = ("count", "due_ms", "mean", "step_ms")

    def __init__(self, step_ms: int) -> None:
        self.step_ms = step_ms
        self.due_ms = NEVER
        self.count = 0
        self.mean = 0.0

    def add(self, time_ms: int, value: float) -> None:
        """Take in a value; what is due at its time or before has been taken."""
        self.due_ms = (time_ms // self.step_ms + 1) * self.step_ms
        self.count += 1
        self.mean += value / self.count - self.mean / self.count

    def take(self) -> float:
        """The mean of the step that ends at `due_ms`."""
        mean = self.mean
        self.count, self.mean, self.due_ms = 0, 0.0, NEVER
        return mean

    def pack(self) -> list[Value]:
        """Its state as plain values."""
        return [self.due_ms, self.count, self.mean]

    def unpack(self, packed: list[Value]) -> None:
        """Become what `pack` was called on."""
        self.due_ms, self.count, self.mean = packed
