"""What a key's last numbers were like: mean and deviation, or median and spread.

A baseline holds the last `size` numbers in arrays, and lets the oldest go. As in
`gateway.rules.folds` nothing is ever subtracted, so no error stays behind when an extreme number
has left.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import NamedTuple, Protocol

IQR_OF_NORMAL = 1.349
"""The distance between the quartiles of a normal distribution, in standard deviations."""


class Normal(NamedTuple):
    """Where the numbers lie, and how far round it."""

    centre: float
    spread: float


class Baseline(Protocol):
    """The last numbers of one key."""

    @property
    def count(self) -> int:
        """How many numbers it holds."""
        ...

    @property
    def taken(self) -> int:
        """How many numbers it ever took."""
        ...

    @property
    def mark(self) -> int:
        """Where its inner cut lies; with it a refilled baseline is equal bit for bit."""
        ...

    def push(self, value: float) -> None:
        """Take in the newest number; where there is no room, let the oldest go."""
        ...

    def normal(self) -> Normal:
        """What is normal; there must be a number."""
        ...

    def numbers(self) -> list[float]:
        """Every number, oldest first."""
        ...

    def refill(self, numbers: Sequence[float], taken: int, mark: int) -> None:
        """Become what a baseline was that held `numbers` with this `mark`."""
        ...


class Moments:
    """Mean and standard deviation by two stacks: Welford's sums, joined by Chan's formula."""

    __slots__ = (
        "count",
        "front_means",
        "front_squares",
        "head",
        "mean",
        "size",
        "squares",
        "taken",
        "values",
    )

    def __init__(self, size: int) -> None:
        self.size = size
        self.refill((), 0, 0)

    @property
    def mark(self) -> int:
        return len(self.front_means)

    def push(self, value: float) -> None:
        if self.count >= self.size:
            self._pop()
        self.values.append(value)
        self.count += 1
        self.taken += 1
        self._add(value, self.count - len(self.front_means))

    def drop(self) -> None:
        """Let the oldest number go."""
        self._pop()

    def normal(self) -> Normal:
        front = len(self.front_means)
        back = self.count - front
        if not front:
            return Normal(self.mean, _deviation(self.squares, back))
        mean, squares = self.front_means[-1], self.front_squares[-1]
        if back:
            distance = self.mean - mean
            mean += distance * back / self.count
            squares += self.squares + distance * distance * front * back / self.count
        return Normal(mean, _deviation(squares, self.count))

    def numbers(self) -> list[float]:
        return self.values[self.head :].tolist()

    def refill(self, numbers: Sequence[float], taken: int, mark: int) -> None:
        self.values = array("d", numbers)
        self.count, self.taken, self.head = len(self.values), taken, 0
        self._turn_over(mark)
        for place, value in enumerate(self.values[mark:], 1):
            self._add(value, place)

    def _add(self, value: float, count: int) -> None:
        """Add the `count`-th number to the sums of the back."""
        distance = value - self.mean
        self.mean += distance / count
        self.squares += distance * (value - self.mean)

    def _pop(self) -> None:
        if not self.front_means:
            del self.values[: self.head]
            self.head = 0
            self._turn_over(len(self.values))
        self.front_means.pop()
        self.front_squares.pop()
        self.head += 1
        self.count -= 1

    def _turn_over(self, mark: int) -> None:
        """Sum up the first `mark` numbers, from each of them to the newest; the back is empty."""
        self.front_means, self.front_squares = array("d"), array("d")
        self.mean = self.squares = 0.0
        for place, value in enumerate(reversed(self.values[:mark]), 1):
            self._add(value, place)
            self.front_means.append(self.mean)
            self.front_squares.append(self.squares)
        self.mean = self.squares = 0.0


class Quartiles:
    """Median and spread, of which a few extreme numbers change nothing.

    The spread is the distance between the quartiles, as standard deviations of a normal
    distribution. Where half of the numbers are equal it is 0.
    """

    __slots__ = ("head", "size", "sorted_values", "taken", "values")
    mark = 0

    def __init__(self, size: int) -> None:
        self.size = size
        self.head = 0
        self.refill((), 0, 0)

    @property
    def count(self) -> int:
        return len(self.sorted_values)

    def push(self, value: float) -> None:
        if self.count >= self.size:
            oldest = self.values[self.head]
            del self.sorted_values[bisect_left(self.sorted_values, oldest)]
            self.head += 1
            if self.head >= self.size:
                del self.values[: self.head]
                self.head = 0
        insort(self.sorted_values, value)
        self.values.append(value)
        self.taken += 1

    def normal(self) -> Normal:
        spread = self._rank(0.75) - self._rank(0.25)
        return Normal(self._rank(0.5), spread / IQR_OF_NORMAL)

    def numbers(self) -> list[float]:
        return self.values[self.head :].tolist()

    def refill(self, numbers: Sequence[float], taken: int, _mark: int) -> None:
        self.values = array("d", numbers)
        self.sorted_values = array("d", sorted(numbers))
        self.taken, self.head = taken, 0

    def _rank(self, share: float) -> float:
        """The number below which this share lies, interpolated between two neighbours."""
        place = (len(self.sorted_values) - 1) * share
        below = math.floor(place)
        low = self.sorted_values[below]
        return low + (self.sorted_values[math.ceil(place)] - low) * (place - below)


def _deviation(squares: float, count: int) -> float:
    return math.sqrt(max(0.0, squares) / (count - 1)) if count > 1 else 0.0
