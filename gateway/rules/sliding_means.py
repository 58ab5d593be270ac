"""The most frequent window, a sliding average, in as little memory as its samples allow.

A mean over a thousand keys is slow when its samples lie scattered in memory; here they lie in
arrays, three numbers a sample. The sums are those of `gateway.rules.folds.Total`, bit for bit.
"""

from __future__ import annotations

from array import array
from collections.abc import MutableMapping, Sequence
from itertools import accumulate
from typing import Protocol

from gateway.rules.instants import NEVER
from gateway.rules.spec import WindowSpec
from gateway.rules.values import UNKNOWN, Value


class MeanPlan(Protocol):
    """What a window needs to know of its plan, and where it counts what it had to leave out."""

    cut_samples: int
    held: int
    held_max: int

    @property
    def names(self) -> Sequence[str]: ...
    @property
    def needs(self) -> Sequence[int]: ...
    @property
    def samples_max(self) -> int: ...
    @property
    def spec(self) -> WindowSpec: ...


class SlidingMean:
    """`(t - size, t]` of one value: its mean, with each sample and whenever one leaves."""

    __slots__ = (
        "back_total",
        "due_ms",
        "front",
        "head",
        "name",
        "needed",
        "plan",
        "size_ms",
        "taken",
        "times",
        "values",
    )
    lag_ms = 1
    keeps_samples = True

    def __init__(self, plan: MeanPlan) -> None:
        self.plan = plan
        self.name = plan.names[0]
        self.size_ms = plan.spec.size_ms
        self.needed = plan.needs[0]
        self.times = array("q")
        self.values = array("d")
        self.head = 0  # what lies before it has left
        self.taken = 0
        self.front = array("d")
        self.back_total = 0.0
        self.due_ms = NEVER

    def add(  # noqa: PLR0915 - the hot path, where each call counts
        self, time_ms: int, values: Sequence[Value], results: MutableMapping[str, object]
    ) -> bool:
        """Take in a value; the mean is written for a look in any case."""
        plan, times, head = self.plan, self.times, self.head
        if time_ms >= self.due_ms - 1:
            # The same as `_evict`, without the call: in most windows each sample drives one out.
            front, until_ms = self.front, time_ms - self.size_ms
            held = len(times) - head
            while head < len(times) and times[head] <= until_ms:
                if not front:
                    front, head = self._turn_over(head)
                front.pop()
                head += 1
            plan.held -= held - len(times) + head
            self.head = head
        (value,) = values
        kind = type(value)
        if (kind is float and value - value == 0.0) or kind is int:  # finite
            times.append(time_ms)
            self.values.append(value)
            self.back_total += value
            self.taken += 1
            plan.held += 1
        count = len(times) - head
        if count > plan.samples_max or (plan.held > plan.held_max and count > 1):
            head, count = self._drop(), count - 1
            plan.cut_samples += 1
        # The same as `_write`, without the call.
        self.due_ms = times[head] + self.size_ms + 1 if count else NEVER
        if count >= self.needed:
            front = self.front
            total = front[-1] + self.back_total if front else self.back_total
            results[self.name] = total / count
        else:
            results[self.name] = UNKNOWN
        return True

    def fire(self, results: MutableMapping[str, object]) -> int:
        """Let go of what is too old at `due_ms`; returns the moment."""
        moment_ms = self.due_ms - 1
        self._evict(moment_ms - self.size_ms)
        self._write(results)
        return moment_ms

    def pack(self) -> list[Value]:
        """The samples and where the sums are cut, as every sliding window packs them."""
        head = self.head
        times, values = self.times[head:].tolist(), self.values[head:].tolist()
        return [[self.taken, [len(self.front)], times, [values]]]

    def unpack(self, packed: list[Value]) -> None:
        """Become what `pack` was called on."""
        self.taken, (mark,), times, (values,) = packed[0]
        self.plan.held += len(times) - len(self.times) + self.head
        self.times, self.values, self.head = array("q", times), array("d", values), 0
        self.front = array("d", accumulate(reversed(self.values[:mark])))
        self.back_total = 0.0
        for value in self.values[mark:]:
            self.back_total += value
        self.due_ms = times[0] + self.size_ms + 1 if times else NEVER

    def let_go(self) -> None:
        """Count its samples as held no more: its key is forgotten."""
        self.plan.held -= len(self.times) - self.head

    def _write(self, results: MutableMapping[str, object]) -> None:
        head, times = self.head, self.times
        count = len(times) - head
        self.due_ms = times[head] + self.size_ms + 1 if count else NEVER
        if count >= self.needed:
            front = self.front
            total = front[-1] + self.back_total if front else self.back_total
            results[self.name] = total / count
        else:
            results[self.name] = UNKNOWN

    def _evict(self, until_ms: int) -> None:
        while self.head < len(self.times) and self.times[self.head] <= until_ms:
            self._drop()

    def _drop(self) -> int:
        """Let go of the oldest sample; returns where the others begin."""
        front, head = self.front, self.head
        if not front:
            front, head = self._turn_over(head)
        front.pop()
        self.plan.held -= 1
        self.head = head + 1
        return self.head

    def _turn_over(self, head: int) -> tuple[array[float], int]:
        """Turn the samples from `head` on into sums from each of them to the newest.

        What has left is let go in memory too. Returns the sums, and where the samples begin now.
        """
        del self.times[:head]
        del self.values[:head]
        self.front = array("d", accumulate(reversed(self.values)))
        self.back_total = 0.0
        return self.front, 0
