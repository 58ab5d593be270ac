"""The moment from which values are no longer what they were."""

from __future__ import annotations

from gateway.rules.anomalies.baselines import Moments
from gateway.rules.anomalies.scores import bounded, deviation_of
from gateway.rules.spec import AnomalySpec
from gateway.rules.values import Value

ALLOWANCE = 1.0
"""So many deviations from the mean are nothing unusual."""

STEP_MAX = 10.0
"""No single value counts for more deviations, so that one wild value is no change."""

UNIT = 10.0
"""So many deviations, added up, are a score of 1."""


class ChangePoint:
    """Page's cumulative sums: deviations from the mean add up as long as they go one way.

    Once the score has reached the sensitivity, everything before is forgotten: what is normal is
    learned anew, and the score is 0 until the warm-up is over.
    """

    __slots__ = ("down", "is_anew", "sensitivity", "up", "values", "warmup")

    def __init__(self, spec: AnomalySpec) -> None:
        self.warmup = spec.warmup
        self.sensitivity = spec.sensitivity
        self.values = Moments(spec.history)
        self.up = self.down = 0.0
        self.is_anew = False

    def take(self, _time_ms: int, value: float) -> float | None:
        values = self.values
        if values.count < self.warmup:
            values.push(value)
            return 0.0 if self.is_anew else None
        deviation = max(-STEP_MAX, min(deviation_of(value, values.normal()), STEP_MAX))
        self.up = max(0.0, self.up + deviation - ALLOWANCE)
        self.down = max(0.0, self.down - deviation - ALLOWANCE)
        score = bounded((self.up if self.up >= self.down else -self.down) / UNIT)
        if abs(score) >= self.sensitivity:
            self._begin_anew()
        values.push(value)
        return score

    @property
    def taken(self) -> int:
        return self.values.taken

    def numbers(self) -> list[float]:
        return self.values.numbers()

    def pack(self) -> list[Value]:
        return [self.values.mark, self.up, self.down, self.is_anew]

    def unpack(self, packed: list[Value], numbers: list[float], taken: int) -> None:
        mark, self.up, self.down, self.is_anew = packed
        self.values.refill(numbers, taken, mark)

    def _begin_anew(self) -> None:
        self.values.refill((), self.values.taken, 0)
        self.up = self.down = 0.0
        self.is_anew = True
