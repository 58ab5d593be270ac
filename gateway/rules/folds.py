"""Aggregates as folds: samples go in at one end and come out at the other.

Which samples a window holds is `gateway.rules.windows`' affair, which fold computes which aggregate
that of `gateway.rules.aggregates`. Samples come in order of event time; unknown ones never do.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Protocol

from gateway.rules.moments import Monoid, State
from gateway.rules.values import UNKNOWN, Value

Sample = tuple[int, Value]


class Fold(Protocol):
    """One aggregate of one window of one key."""

    @property
    def count(self) -> int:
        """How many samples it holds."""
        ...

    @property
    def mark(self) -> int:
        """Where its inner cut lies; with it a refilled fold is equal bit for bit."""
        ...

    def push(self, time_ms: int, value: Value) -> None:
        """Take in the newest sample."""
        ...

    def pop(self, value: Value) -> None:
        """Let go of the oldest sample, which is `value`."""
        ...

    def result(self, now_ms: int) -> Value:
        """The aggregate at `now_ms`, the end of the window; UNKNOWN where it has no meaning."""
        ...

    def refill(self, samples: Iterable[Sample], mark: int) -> None:
        """Become what a fold was that held `samples` with this `mark`."""
        ...


class Total:
    """A sum over a moving window by two stacks: nothing is subtracted, so no error stays behind.

    New samples gather in the back; when the front runs out, the back is turned over into sums from
    each sample to the newest of them. A sum is then one front entry and one running total.
    """

    __slots__ = ("back", "back_total", "count", "front")

    def __init__(self) -> None:
        self.front: list[float] = []
        self.back: list[float] = []
        self.back_total: float = 0
        self.count = 0

    @property
    def mark(self) -> int:
        return len(self.front)

    def push(self, _time_ms: int, value: Value) -> None:
        self.back.append(value)
        self.back_total += value
        self.count += 1

    def pop(self, _value: Value) -> None:
        if not self.front:
            self.front = list(accumulate(reversed(self.back)))
            self.back = []
            self.back_total = 0
        self.front.pop()
        self.count -= 1

    def total(self) -> float:
        """The sum of every sample; 0 when there is none."""
        return self.front[-1] + self.back_total if self.front else self.back_total

    def refill(self, samples: Iterable[Sample], mark: int) -> None:
        values = [value for _, value in samples]
        self.count = len(values)
        self.front = list(accumulate(reversed(values[:mark])))
        self.back = values[mark:]
        self.back_total = 0
        for value in self.back:
            self.back_total += value


class Sum(Total):
    """The sum of the samples; unknown when there is none."""

    __slots__ = ()

    def result(self, _now_ms: int) -> Value:
        return self.total() if self.count else UNKNOWN


class Mean(Total):
    """The arithmetic mean of the samples."""

    __slots__ = ()

    def result(self, _now_ms: int) -> Value:
        if not self.count:
            return UNKNOWN
        front = self.front
        return (front[-1] + self.back_total if front else self.back_total) / self.count


class Count:
    """How many samples there are."""

    __slots__ = ("count",)
    mark = 0

    def __init__(self) -> None:
        self.count = 0

    def push(self, _time_ms: int, _value: Value) -> None:
        self.count += 1

    def pop(self, _value: Value) -> None:
        self.count -= 1

    def result(self, _now_ms: int) -> Value:
        return self.count

    def refill(self, samples: Iterable[Sample], _mark: int) -> None:
        self.count = sum(1 for _ in samples)


class Extreme:
    """The least or greatest sample: only those are kept that can still become it."""

    __slots__ = ("candidates", "count", "is_max")
    mark = 0

    def __init__(self, *, is_max: bool) -> None:
        self.is_max = is_max
        self.candidates: deque[float] = deque()
        self.count = 0

    def push(self, _time_ms: int, value: Value) -> None:
        candidates = self.candidates
        if self.is_max:
            while candidates and candidates[-1] < value:
                candidates.pop()
        else:
            while candidates and candidates[-1] > value:
                candidates.pop()
        candidates.append(value)
        self.count += 1

    def pop(self, value: Value) -> None:
        if self.candidates[0] == value:
            self.candidates.popleft()
        self.count -= 1

    def result(self, _now_ms: int) -> Value:
        return self.candidates[0] if self.candidates else UNKNOWN

    def refill(self, samples: Iterable[Sample], _mark: int) -> None:
        for time_ms, value in samples:
            self.push(time_ms, value)


class Range:
    """Greatest sample minus least."""

    __slots__ = ("greatest", "least")
    mark = 0

    def __init__(self) -> None:
        self.least = Extreme(is_max=False)
        self.greatest = Extreme(is_max=True)

    @property
    def count(self) -> int:
        return self.least.count

    def push(self, time_ms: int, value: Value) -> None:
        self.least.push(time_ms, value)
        self.greatest.push(time_ms, value)

    def pop(self, value: Value) -> None:
        self.least.pop(value)
        self.greatest.pop(value)

    def result(self, now_ms: int) -> Value:
        if not self.count:
            return UNKNOWN
        return self.greatest.result(now_ms) - self.least.result(now_ms)

    def refill(self, samples: Iterable[Sample], _mark: int) -> None:
        for time_ms, value in samples:
            self.push(time_ms, value)


class Percentile:
    """The value below which `rank` percent lie: exact, interpolated between two neighbours."""

    __slots__ = ("rank", "sorted_values")
    mark = 0

    def __init__(self, rank: float) -> None:
        self.rank = rank
        self.sorted_values: list[float] = []

    @property
    def count(self) -> int:
        return len(self.sorted_values)

    def push(self, _time_ms: int, value: Value) -> None:
        insort(self.sorted_values, value)

    def pop(self, value: Value) -> None:
        del self.sorted_values[bisect_left(self.sorted_values, value)]

    def result(self, _now_ms: int) -> Value:
        if not self.sorted_values:
            return UNKNOWN
        place = (len(self.sorted_values) - 1) * self.rank / 100
        below = math.floor(place)
        above = math.ceil(place)
        low = self.sorted_values[below]
        return low + (self.sorted_values[above] - low) * (place - below)

    def refill(self, samples: Iterable[Sample], _mark: int) -> None:
        self.sorted_values = sorted(value for _, value in samples)


class Distinct:
    """How many different values there are; 5 and 5.0 are one, `true` and 1 are two."""

    __slots__ = ("count", "counts_by_value")
    mark = 0

    def __init__(self) -> None:
        self.count = 0
        self.counts_by_value: dict[str, int] = {}

    def push(self, _time_ms: int, value: Value) -> None:
        name = distinct_name(value)
        self.counts_by_value[name] = self.counts_by_value.get(name, 0) + 1
        self.count += 1

    def pop(self, value: Value) -> None:
        name = distinct_name(value)
        left = self.counts_by_value[name] - 1
        if left:
            self.counts_by_value[name] = left
        else:
            del self.counts_by_value[name]
        self.count -= 1

    def result(self, _now_ms: int) -> Value:
        return len(self.counts_by_value)

    def refill(self, samples: Iterable[Sample], _mark: int) -> None:
        for time_ms, value in samples:
            self.push(time_ms, value)


class Ends:
    """The samples themselves, for what only looks at the first or the last of them."""

    __slots__ = ("look", "values")
    mark = 0

    def __init__(self, look: Callable[[deque[Value]], Value]) -> None:
        self.look = look
        self.values: deque[Value] = deque()

    @property
    def count(self) -> int:
        return len(self.values)

    def push(self, _time_ms: int, value: Value) -> None:
        self.values.append(value)

    def pop(self, _value: Value) -> None:
        self.values.popleft()

    def result(self, _now_ms: int) -> Value:
        return self.look(self.values) if self.values else UNKNOWN

    def refill(self, samples: Iterable[Sample], _mark: int) -> None:
        self.values = deque(value for _, value in samples)


class Stacked:
    """Any monoid over a moving window by two stacks, as `Total` does it for sums."""

    __slots__ = ("back", "back_state", "count", "front", "monoid")

    def __init__(self, monoid: Monoid) -> None:
        self.monoid = monoid
        self.front: list[State] = []
        self.back: list[State] = []
        self.back_state: State | None = None
        self.count = 0

    @property
    def mark(self) -> int:
        return len(self.front)

    def push(self, time_ms: int, value: Value) -> None:
        lifted = self.monoid.lift(time_ms, value)
        self.back.append(lifted)
        state = self.back_state
        self.back_state = lifted if state is None else self.monoid.combine(state, lifted)
        self.count += 1

    def pop(self, _value: Value) -> None:
        if not self.front:
            self.front = self._turned(self.back)
            self.back = []
            self.back_state = None
        self.front.pop()
        self.count -= 1

    def result(self, now_ms: int) -> Value:
        back = self.back_state
        if not self.front:
            return UNKNOWN if back is None else self.monoid.lower(back, now_ms)
        front = self.front[-1]
        state = front if back is None else self.monoid.combine(front, back)
        return self.monoid.lower(state, now_ms)

    def refill(self, samples: Iterable[Sample], mark: int) -> None:
        lifted = [self.monoid.lift(time_ms, value) for time_ms, value in samples]
        self.count = len(lifted)
        self.front = self._turned(lifted[:mark])
        self.back = lifted[mark:]
        self.back_state = None
        for item in self.back:
            state: State | None = self.back_state
            self.back_state = item if state is None else self.monoid.combine(state, item)

    def _turned(self, lifted: list[State]) -> list[State]:
        combine = self.monoid.combine
        return list(accumulate(reversed(lifted), lambda newer, older: combine(older, newer)))


def distinct_name(value: Value) -> str:
    """Text that is equal for values which count as one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{type(value).__name__} {value!r}"
