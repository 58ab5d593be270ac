"""A value that rises or falls faster than it ever does."""

from __future__ import annotations

from gateway.rules.anomalies.scores import VALUE_MAX
from gateway.rules.anomalies.zscore import ZScore
from gateway.rules.spec import AnomalySpec
from gateway.rules.values import Value

SECOND_MS = 1_000


class RateOfChange(ZScore):
    """As `zscore`, of the change per second from one value to the next.

    Of values of one moment only the first counts.
    """

    __slots__ = ("before",)

    def __init__(self, spec: AnomalySpec) -> None:
        super().__init__(spec)
        self.before: tuple[int, float] | None = None

    def take(self, time_ms: int, value: float) -> float | None:
        before = self.before
        if before is not None and before[0] == time_ms:
            return None
        self.before = (time_ms, value)
        if before is None:
            return None
        change = (value - before[1]) * SECOND_MS / (time_ms - before[0])
        return super().take(time_ms, max(-VALUE_MAX, min(change, VALUE_MAX)))

    def pack(self) -> list[Value]:
        return [*super().pack(), self.before]

    def unpack(self, packed: list[Value], numbers: list[float], taken: int) -> None:
        *own, before = packed
        self.before = None if before is None else (before[0], before[1])
        super().unpack(own, numbers, taken)
