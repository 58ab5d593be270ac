"""A value far from the mean of its history."""

from __future__ import annotations

from gateway.rules.anomalies.baselines import Baseline, Moments
from gateway.rules.anomalies.scores import deviation_of
from gateway.rules.spec import AnomalySpec
from gateway.rules.values import Value


class ZScore:
    """How many standard deviations a value lies from the mean of the values before it."""

    __slots__ = ("baseline", "warmup")

    def __init__(self, spec: AnomalySpec) -> None:
        self.baseline: Baseline = Moments(spec.history)
        self.warmup = spec.warmup

    def take(self, _time_ms: int, value: float) -> float | None:
        baseline = self.baseline
        is_ready = baseline.count >= self.warmup
        score = deviation_of(value, baseline.normal()) if is_ready else None
        baseline.push(value)
        return score

    @property
    def taken(self) -> int:
        return self.baseline.taken

    def numbers(self) -> list[float]:
        return self.baseline.numbers()

    def pack(self) -> list[Value]:
        return [self.baseline.mark]

    def unpack(self, packed: list[Value], numbers: list[float], taken: int) -> None:
        (mark,) = packed
        self.baseline.refill(numbers, taken, mark)
