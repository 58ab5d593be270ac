"""Aggregates whose parts can be joined: each as a monoid, so that windows never have to subtract.

`lift` makes a part of one sample, `combine` joins an older part with a newer one, `lower` reads the
result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from gateway.rules.values import UNKNOWN, Value

State = tuple[Any, ...]
SECOND_MS = 1_000


class Monoid(Protocol):
    """How the parts of one aggregate are made, joined and read."""

    def lift(self, time_ms: int, value: Value) -> State: ...

    def combine(self, older: State, newer: State) -> State: ...

    def lower(self, state: State, now_ms: int) -> Value: ...


class First:
    """The oldest sample."""

    def lift(self, _time_ms: int, value: Value) -> State:
        return (value,)

    def combine(self, older: State, _newer: State) -> State:
        return older

    def lower(self, state: State, _now_ms: int) -> Value:
        return state[0]


class Last(First):
    """The newest sample."""

    def combine(self, _older: State, newer: State) -> State:
        return newer


class Delta:
    """The newest sample minus the oldest."""

    def lift(self, _time_ms: int, value: Value) -> State:
        return (value, value)

    def combine(self, older: State, newer: State) -> State:
        return (older[0], newer[1])

    def lower(self, state: State, _now_ms: int) -> Value:
        return state[1] - state[0]


class Spread(Delta):
    """The greatest sample minus the least."""

    def combine(self, older: State, newer: State) -> State:
        return (min(older[0], newer[0]), max(older[1], newer[1]))


class Variance:
    """The variance of a sample (n - 1): count, mean and squares, joined by Chan's formula."""

    def lift(self, _time_ms: int, value: Value) -> State:
        return (1, float(value), 0.0)

    def combine(self, older: State, newer: State) -> State:
        count = older[0] + newer[0]
        distance = newer[1] - older[1]
        mean = older[1] + distance * newer[0] / count
        squares = older[2] + newer[2] + distance * distance * older[0] * newer[0] / count
        return (count, mean, squares)

    def lower(self, state: State, _now_ms: int) -> Value:
        return state[2] / (state[0] - 1) if state[0] > 1 else UNKNOWN


class Deviation(Variance):
    """The standard deviation of a sample."""

    def lower(self, state: State, now_ms: int) -> Value:
        variance = super().lower(state, now_ms)
        return variance if variance is UNKNOWN else math.sqrt(variance)


class Slope:
    """The rise per second of the least-squares line, from means and centred products."""

    def lift(self, time_ms: int, value: Value) -> State:
        # Times are kept whole: a float of epoch milliseconds squared would lose the milliseconds.
        return (1, time_ms, 0.0, float(value), 0.0, 0.0)

    def combine(self, older: State, newer: State) -> State:
        n_old, origin, t_old, x_old, tt_old, tx_old = older
        n_new, origin_new, t_new, x_new, tt_new, tx_new = newer
        count = n_old + n_new
        t_distance = (origin_new - origin) / SECOND_MS + t_new - t_old
        x_distance = x_new - x_old
        weight = n_old * n_new / count
        return (
            count,
            origin,
            t_old + t_distance * n_new / count,
            x_old + x_distance * n_new / count,
            tt_old + tt_new + t_distance * t_distance * weight,
            tx_old + tx_new + t_distance * x_distance * weight,
        )

    def lower(self, state: State, _now_ms: int) -> Value:
        return state[5] / state[4] if state[4] > 0 else UNKNOWN


class Rate:
    """The rise of a counter per second; where it falls, it began anew at zero."""

    def lift(self, time_ms: int, value: Value) -> State:
        return (time_ms, value, time_ms, value, 0.0)

    def combine(self, older: State, newer: State) -> State:
        step = newer[1] - older[3]
        risen = older[4] + newer[4] + (step if step >= 0 else newer[1])
        return (older[0], older[1], newer[2], newer[3], risen)

    def lower(self, state: State, _now_ms: int) -> Value:
        span_ms = state[2] - state[0]
        return state[4] * SECOND_MS / span_ms if span_ms > 0 else UNKNOWN


class Ewma:
    """A mean whose weights fall by e for each `tau_ms` that a sample is older than the newest."""

    def __init__(self, tau_ms: float) -> None:
        self.tau_ms = tau_ms

    def lift(self, time_ms: int, value: Value) -> State:
        return (time_ms, float(value), 1.0)

    def combine(self, older: State, newer: State) -> State:
        decay = math.exp((older[0] - newer[0]) / self.tau_ms)
        return (newer[0], older[1] * decay + newer[1], older[2] * decay + newer[2])

    def lower(self, state: State, _now_ms: int) -> Value:
        return state[1] / state[2]


class Held:
    """The area under a value that holds until the next sample, times milliseconds."""

    def lift(self, time_ms: int, value: Value) -> State:
        return (time_ms, time_ms, value, 0.0)

    def combine(self, older: State, newer: State) -> State:
        between = float(older[2]) * (newer[0] - older[1])
        return (older[0], newer[1], newer[2], older[3] + between + newer[3])


class TimeMean(Held):
    """The mean over time: each sample counts for as long as it held."""

    def lower(self, state: State, now_ms: int) -> Value:
        span_ms = now_ms - state[0]
        area = state[3] + state[2] * (now_ms - state[1])
        return area / span_ms if span_ms > 0 else state[2]


class TrueDuration(Held):
    """For how many seconds a condition held."""

    def lift(self, time_ms: int, value: Value) -> State:
        return (time_ms, time_ms, int(value), 0.0)

    def lower(self, state: State, now_ms: int) -> Value:
        return (state[3] + state[2] * (now_ms - state[1])) / SECOND_MS


MONOIDS: dict[str, Callable[[float], Monoid]] = {
    "variance": lambda _: Variance(),
    "stddev": lambda _: Deviation(),
    "slope": lambda _: Slope(),
    "rate": lambda _: Rate(),
    "ewma": Ewma,
    "time_avg": lambda _: TimeMean(),
    "duration_true": lambda _: TrueDuration(),
}
