"""A value that is unusual for its hour of the day, though others may be as high or as low."""

from __future__ import annotations

import math
from array import array
from collections import deque

from gateway.rules.anomalies.baselines import Moments
from gateway.rules.anomalies.level_shift import RECENT_MAX, RECENT_MIN, RECENT_SHARE
from gateway.rules.anomalies.scores import VALUE_MAX, deviation_of
from gateway.rules.spec import AnomalySpec
from gateway.rules.values import Value

HOUR_MS = 3_600_000
HOURS = 24
DAY_MS = HOURS * HOUR_MS
PER_VALUE = 3  # numbers that are stored of each value: its hour, itself, the mean then


class Contextual:
    """As `level_shift`, of what is left of a value when the mean of its hour is taken away.

    The mean is that of the history's values of the same hour of the day, in UTC. The first day is
    only learned: before it is over, no hour has been seen twice.
    """

    __slots__ = ("first_ms", "hours", "means", "profiles", "recent", "shown", "size", "warmup")

    def __init__(self, spec: AnomalySpec) -> None:
        count = max(RECENT_MIN, min(spec.history // RECENT_SHARE, RECENT_MAX))
        self.size = spec.history
        self.warmup = spec.warmup
        self.recent: deque[float] = deque(maxlen=count)
        self.means = Moments(spec.history)
        # One more than there ever are: they are let go in the order in which they came.
        self.profiles = [Moments(spec.history + 1) for _ in range(HOURS)]
        self.hours: deque[int] = deque()
        self.shown: deque[float] = deque(maxlen=spec.history)
        self.first_ms: int | None = None

    def take(self, time_ms: int, value: float) -> float | None:
        if self.first_ms is None:
            self.first_ms = time_ms
        hour = time_ms // HOUR_MS % HOURS
        profile, score, mean = self.profiles[hour], None, math.nan
        if profile.count and time_ms >= self.first_ms + DAY_MS:
            left = value - profile.normal().centre
            self.recent.append(max(-VALUE_MAX, min(left, VALUE_MAX)))
            mean = math.fsum(self.recent) / len(self.recent)
            if self.means.count >= self.warmup:
                score = deviation_of(mean, self.means.normal())
            self.means.push(mean)
        self._learn(hour, value, mean)
        return score

    def _learn(self, hour: int, value: float, mean: float) -> None:
        if len(self.hours) >= self.size:
            self.profiles[self.hours.popleft()].drop()
        self.hours.append(hour)
        self.profiles[hour].push(value)
        self.shown.append(mean)

    @property
    def taken(self) -> int:
        return PER_VALUE * sum(profile.taken for profile in self.profiles)

    def numbers(self) -> list[float]:
        own = [iter(profile.numbers()) for profile in self.profiles]
        found = array("d")
        for hour, mean in zip(self.hours, self.shown, strict=True):
            found.extend((hour, next(own[hour]), mean))
        return found.tolist()

    def pack(self) -> list[Value]:
        marks = [[profile.taken, profile.mark] for profile in self.profiles]
        means = [self.means.taken, self.means.mark, self.means.numbers()[: self._unshown()]]
        return [self.first_ms, list(self.recent), marks, means]

    def _unshown(self) -> int:
        """How many of the means are older than the values that are remembered."""
        return self.means.count - sum(not math.isnan(mean) for mean in self.shown)

    def unpack(self, packed: list[Value], numbers: list[float], _taken: int) -> None:
        self.first_ms, recent, marks, (means_taken, means_mark, older) = packed
        self.recent.extend(recent)
        by_hour: list[list[float]] = [[] for _ in range(HOURS)]
        means = list(older)
        for place in range(0, len(numbers), PER_VALUE):
            hour, value, mean = numbers[place : place + PER_VALUE]
            self.hours.append(int(hour))
            self.shown.append(mean)
            by_hour[int(hour)].append(value)
            if not math.isnan(mean):
                means.append(mean)
        for profile, own, (taken, mark) in zip(self.profiles, by_hour, marks, strict=True):
            profile.refill(own, taken, mark)
        self.means.refill(means, means_taken, means_mark)
