"""A level that has moved: the mean of the newest values, unlike all such means before."""

from __future__ import annotations

import math
from collections import deque

from gateway.rules.anomalies.baselines import Moments
from gateway.rules.anomalies.scores import deviation_of
from gateway.rules.spec import AnomalySpec
from gateway.rules.values import Value

RECENT_SHARE = 50
RECENT_MIN = 5
RECENT_MAX = 50


class LevelShift:
    """How far the mean of the newest values lies from the means of as many values in the history.

    The newest are a fiftieth of the history, at least 5 and at most 50. Means of neighbours vary
    as much as the series lets them, so one that wanders by itself isn't mistaken for one that
    shifts.
    """

    __slots__ = ("means", "recent", "warmup")

    def __init__(self, spec: AnomalySpec) -> None:
        size = max(RECENT_MIN, min(spec.history // RECENT_SHARE, RECENT_MAX))
        self.recent: deque[float] = deque(maxlen=size)
        self.means = Moments(spec.history)
        self.warmup = spec.warmup

    def take(self, _time_ms: int, value: float) -> float | None:
        recent, means = self.recent, self.means
        recent.append(value)
        mean = math.fsum(recent) / len(recent)
        score = deviation_of(mean, means.normal()) if means.count >= self.warmup else None
        means.push(mean)
        return score

    @property
    def taken(self) -> int:
        return self.means.taken

    def numbers(self) -> list[float]:
        return self.means.numbers()

    def pack(self) -> list[Value]:
        return [self.means.mark, list(self.recent)]

    def unpack(self, packed: list[Value], numbers: list[float], taken: int) -> None:
        mark, recent = packed
        self.recent.extend(recent)
        self.means.refill(numbers, taken, mark)
