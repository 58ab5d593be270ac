"""What a window holds: its samples, or what is left of them."""

from __future__ import annotations

from collections import deque
from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, Protocol

from gateway.rules.accumulators import Accumulator
from gateway.rules.aggregates import build_accumulator, build_fold, is_number
from gateway.rules.folds import Fold
from gateway.rules.values import UNKNOWN, Value

if TYPE_CHECKING:
    from gateway.rules.windows import WindowPlan

Results = MutableMapping[str, object]
Packed = list[Value]


class Contents(Protocol):
    """The samples of a window, or what is left of them."""

    def push(self, time_ms: int, values: Sequence[Value]) -> bool: ...

    def write(self, now_ms: int, results: Results) -> None: ...

    def clear(self) -> None: ...

    def pack(self) -> Packed: ...

    def unpack(self, packed: Packed) -> None: ...


class MovingContents:
    """Samples that come and go: times, a column per aggregate (None: no sample), and folds."""

    __slots__ = ("columns", "folds", "plan", "taken", "times")

    def __init__(self, plan: WindowPlan) -> None:
        self.plan = plan
        self.taken = 0  # how many samples there ever were: their numbers on the pages
        self.times: deque[int] = deque()
        self.clear()

    def clear(self) -> None:
        self.plan.held -= len(self.times)
        self.times = deque()
        self.columns: list[deque[Value]] = [deque() for _ in self.plan.specs]
        self.folds: list[Fold] = [build_fold(spec) for spec in self.plan.specs]

    def push(self, time_ms: int, values: Sequence[Value]) -> bool:
        """Take in what is a sample to at least one aggregate; when full, let the oldest go."""
        accepts_value = self.plan.accepts
        is_sample = False
        for index, value in enumerate(values):
            if accepts_value[index](value):
                is_sample = True
        if not is_sample:
            return False
        for index, value in enumerate(values):
            known = value if accepts_value[index](value) else None
            self.columns[index].append(known)
            if known is not None:
                self.folds[index].push(time_ms, known)
        self.times.append(time_ms)
        self.taken += 1
        plan = self.plan
        plan.held += 1
        if len(self.times) > plan.samples_max:
            self.drop()
            plan.cut_samples += plan.spec.kind != "count"
        elif plan.held > plan.held_max and len(self.times) > 1:
            self.drop()
            plan.cut_samples += 1
        return True

    def drop(self) -> None:
        """Let the oldest sample go."""
        self.plan.held -= 1
        self.times.popleft()
        for column, fold in zip(self.columns, self.folds, strict=True):
            value = column.popleft()
            if value is not None:
                fold.pop(value)

    def evict(self, until_ms: int) -> None:
        """Let every sample go that is not younger than `until_ms`."""
        times = self.times
        while times and times[0] <= until_ms:
            self.drop()

    def write(self, now_ms: int, results: Results) -> None:
        plan = self.plan
        for name, fold, needed in zip(plan.names, self.folds, plan.needs, strict=True):
            results[name] = fold.result(now_ms) if fold.count >= needed else UNKNOWN

    def pack(self) -> Packed:
        marks = [fold.mark for fold in self.folds]
        return [self.taken, marks, list(self.times), [list(column) for column in self.columns]]

    def unpack(self, packed: Packed) -> None:
        self.taken, marks, times, columns = packed
        self.plan.held += len(times) - len(self.times)
        self.times = deque(times)
        self.columns = [deque(column) for column in columns]
        for fold, column, mark in zip(self.folds, columns, marks, strict=True):
            samples = zip(times, column, strict=True)
            fold.refill([sample for sample in samples if sample[1] is not None], mark)


class GrowingContents:
    """Samples that only come until all go at once: nothing of them is kept but the accumulators."""

    __slots__ = ("accumulators", "plan")

    def __init__(self, plan: WindowPlan) -> None:
        self.plan = plan
        self.clear()

    def clear(self) -> None:
        built = (build_accumulator(spec) for spec in self.plan.specs)
        self.accumulators: list[Accumulator] = [one for one in built if one is not None]

    def push(self, time_ms: int, values: Sequence[Value]) -> bool:
        is_sample = False
        for accumulator, accepts, value in zip(
            self.accumulators, self.plan.accepts, values, strict=True
        ):
            # The same as `is_number` for most of what comes, without the call.
            is_plain = accepts is is_number and type(value) is float and value - value == 0.0
            if is_plain or accepts(value):
                accumulator.push(time_ms, value)
                is_sample = True
        return is_sample

    def write(self, now_ms: int, results: Results) -> None:
        plan = self.plan
        for name, one, needed in zip(plan.names, self.accumulators, plan.needs, strict=True):
            results[name] = one.result(now_ms) if one.count >= needed else UNKNOWN

    def pack(self) -> Packed:
        return [one.pack() for one in self.accumulators]

    def unpack(self, packed: Packed) -> None:
        for one, state in zip(self.accumulators, packed, strict=True):
            one.unpack(state)
