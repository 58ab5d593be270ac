"""A value that stays the same for longer than it ever does: a sensor that is stuck."""

from __future__ import annotations

from collections import deque

from gateway.rules.anomalies.scores import bounded
from gateway.rules.spec import AnomalySpec
from gateway.rules.values import Value


class Stuck:
    """How many times longer the value has been the same than ever in the history.

    Lengths are counted in values. Before the first change the warm-up counts as the longest run;
    when all runs have left the history, the last longest goes on counting.
    """

    __slots__ = ("history", "length", "longest", "runs", "taken", "value", "warmup")

    def __init__(self, spec: AnomalySpec) -> None:
        self.history = spec.history
        self.warmup = spec.warmup
        self.taken = 0
        self.value: float | None = None
        self.length = 0
        self.longest = spec.warmup
        # Runs that are over, as (number of the value after it, length), each longer than those
        # after it: only they can become the longest. So there are few.
        self.runs: deque[tuple[int, int]] = deque()

    def take(self, _time_ms: int, value: float) -> float | None:
        if value == self.value:
            self.length += 1
        else:
            if self.length:
                self._end_run()
            self.value, self.length = value, 1
        runs = self.runs
        while runs and runs[0][0] <= self.taken - self.history:
            runs.popleft()
        self.taken += 1
        if runs:
            self.longest = runs[0][1]
        return bounded(self.length / self.longest) if self.taken > self.warmup else None

    def numbers(self) -> list[float]:
        return []

    def pack(self) -> list[Value]:
        runs = [list(run) for run in self.runs]
        return [self.value, self.length, self.longest, self.taken, runs]

    def unpack(self, packed: list[Value], _numbers: list[float], _taken: int) -> None:
        self.value, self.length, self.longest, self.taken, runs = packed
        self.runs = deque((end, length) for end, length in runs)

    def _end_run(self) -> None:
        runs = self.runs
        while runs and runs[-1][1] <= self.length:
            runs.pop()
        runs.append((self.taken, self.length))
