"""Which samples an aggregate sees, and when its value can change: the window of a rule and a key.

Tumbling, hopping and session windows are `[start, end)`; a sliding one is `(t - size, t]`. Samples
come in order of event time: sorting them is the timeline's affair. Each window says by `due_ms`
when it must be fired next, whatever comes, before any sample of that time or later is added.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, MutableMapping, Sequence
from typing import Protocol

from gateway.rules.accumulators import Accumulator
from gateway.rules.aggregates import accepts, build_accumulator, build_fold
from gateway.rules.folds import Fold
from gateway.rules.instants import NEVER
from gateway.rules.sliding_means import SlidingMean
from gateway.rules.spec import AggregateSpec, WindowSpec
from gateway.rules.values import UNKNOWN, Value

SAMPLES_MAX = 100_000
# These have a value where there is nothing: none.
KNOWN_WHEN_EMPTY = frozenset({"count", "distinct"})

Results = MutableMapping[str, object]
Packed = list[Value]


class WindowPlan:
    """What the windows of one rule have in common, worked out once."""

    __slots__ = ("accepts", "are_mergeable", "build", "names", "needs", "spec", "specs")

    def __init__(self, spec: WindowSpec, aggregates: Sequence[AggregateSpec]) -> None:
        self.spec = spec
        self.specs = tuple(aggregates)
        self.names = tuple(aggregate.name for aggregate in aggregates)
        self.accepts = tuple(accepts(aggregate.function) for aggregate in aggregates)
        self.needs = tuple(_needed(spec, aggregate) for aggregate in aggregates)
        self.are_mergeable = all(build_accumulator(aggregate) for aggregate in aggregates)
        self.build = BUILDERS[spec.kind]

    def open(self) -> Window:
        """A window for one more key, with nothing in it."""
        return self.build(self)


def _needed(window: WindowSpec, aggregate: AggregateSpec) -> int:
    """The least number of samples at which an aggregate is known."""
    if aggregate.function in KNOWN_WHEN_EMPTY and window.min_samples <= 1:
        return 0
    return max(1, window.min_samples)


class Window(Protocol):
    """One window of one rule and key."""

    due_ms: int
    lag_ms: int
    """How long before `due_ms` the moment lies at which it is looked at."""

    def add(self, time_ms: int, values: Sequence[Value], results: Results) -> bool:
        """Take in one value for each aggregate; say whether `results` were written, for a look."""
        ...

    def fire(self, results: Results) -> int:
        """Do what is due: write the results of that moment, and return the moment."""
        ...

    @property
    def keeps_samples(self) -> bool:
        """Whether the last item of what it packs are its samples: taken, marks, times, columns."""
        ...

    def pack(self) -> Packed:
        """Everything it holds, as plain values; last its contents."""
        ...

    def unpack(self, packed: Packed) -> None:
        """Become what `pack` was called on."""
        ...


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
        self.clear()

    def clear(self) -> None:
        self.times: deque[int] = deque()
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
        if len(self.times) > SAMPLES_MAX:
            self.drop()
        return True

    def drop(self) -> None:
        """Let the oldest sample go."""
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
        accepts_value, is_sample = self.plan.accepts, False
        for index, accumulator in enumerate(self.accumulators):
            value = values[index]
            if accepts_value[index](value):
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


def _contents(plan: WindowPlan) -> Contents:
    return GrowingContents(plan) if plan.are_mergeable else MovingContents(plan)


class SlidingWindow:
    """`(t - size, t]`, looked at with each sample and whenever one leaves."""

    __slots__ = ("contents", "due_ms", "size_ms")
    lag_ms = 1
    keeps_samples = True

    def __init__(self, plan: WindowPlan) -> None:
        self.size_ms = plan.spec.size_ms
        self.contents = MovingContents(plan)
        self.due_ms = NEVER

    def add(self, time_ms: int, values: Sequence[Value], results: Results) -> bool:
        contents = self.contents
        times = contents.times
        if times and times[0] <= time_ms - self.size_ms:
            contents.evict(time_ms - self.size_ms)
        contents.push(time_ms, values)
        # A sample of the very moment of leaving may still come: it leaves when that moment is over.
        self.due_ms = times[0] + self.size_ms + 1 if times else NEVER
        contents.write(time_ms, results)
        return True

    def fire(self, results: Results) -> int:
        moment_ms = self.due_ms - 1
        self.contents.evict(moment_ms - self.size_ms)
        times = self.contents.times
        self.due_ms = times[0] + self.size_ms + 1 if times else NEVER
        self.contents.write(moment_ms, results)
        return moment_ms

    def pack(self) -> Packed:
        return [self.contents.pack()]

    def unpack(self, packed: Packed) -> None:
        self.contents.unpack(packed[0])
        times = self.contents.times
        self.due_ms = times[0] + self.size_ms + 1 if times else NEVER


class LeanSlidingWindow(SlidingWindow):
    """A sliding window of one aggregate: the same, with fewer calls on the way."""

    __slots__ = ()

    def add(self, time_ms: int, values: Sequence[Value], results: Results) -> bool:
        contents = self.contents
        times, plan = contents.times, contents.plan
        (column,), (fold,) = contents.columns, contents.folds
        horizon_ms = time_ms - self.size_ms
        while times and times[0] <= horizon_ms:
            times.popleft()
            fold.pop(column.popleft())
        value = values[0]
        if plan.accepts[0](value):
            times.append(time_ms)
            column.append(value)
            fold.push(time_ms, value)
            contents.taken += 1
            if len(times) > SAMPLES_MAX:
                contents.drop()
        self.due_ms = times[0] + self.size_ms + 1 if times else NEVER
        is_known = fold.count >= plan.needs[0]
        results[plan.names[0]] = fold.result(time_ms) if is_known else UNKNOWN
        return True


def _sliding(plan: WindowPlan) -> Window:
    if len(plan.specs) > 1:
        return SlidingWindow(plan)
    if plan.specs[0].function == "avg":
        return SlidingMean(plan.names[0], plan.spec.size_ms, plan.needs[0], SAMPLES_MAX)
    return LeanSlidingWindow(plan)


class TumblingWindow:
    """`[start, end)`, aligned to the epoch; one look at its end, none at an empty one."""

    __slots__ = ("contents", "due_ms", "offset_ms", "size_ms")
    lag_ms = 0

    def __init__(self, plan: WindowPlan) -> None:
        self.size_ms = plan.spec.size_ms
        self.offset_ms = plan.spec.offset_ms
        self.contents = _contents(plan)
        self.due_ms = NEVER

    def add(self, time_ms: int, values: Sequence[Value], _results: Results) -> bool:
        if self.contents.push(time_ms, values) and self.due_ms == NEVER:
            self.due_ms = time_ms + self.size_ms - (time_ms - self.offset_ms) % self.size_ms
        return False

    def fire(self, results: Results) -> int:
        end_ms = self.due_ms
        self.contents.write(end_ms, results)
        self.contents.clear()
        self.due_ms = NEVER
        return end_ms

    @property
    def keeps_samples(self) -> bool:
        return isinstance(self.contents, MovingContents)

    def pack(self) -> Packed:
        return [self.due_ms, self.contents.pack()]

    def unpack(self, packed: Packed) -> None:
        self.due_ms = packed[0]
        self.contents.unpack(packed[1])


class HoppingWindow:
    """`[start, start + size)` from every hop on; one look at the end of each that isn't empty."""

    __slots__ = ("contents", "due_ms", "every_ms", "offset_ms", "size_ms")
    lag_ms = 0
    keeps_samples = True

    def __init__(self, plan: WindowPlan) -> None:
        self.size_ms = plan.spec.size_ms
        self.every_ms = plan.spec.every_ms
        self.offset_ms = plan.spec.offset_ms
        self.contents = MovingContents(plan)
        self.due_ms = NEVER

    def add(self, time_ms: int, values: Sequence[Value], _results: Results) -> bool:
        end_ms = self._end_after(time_ms)
        if end_ms - self.size_ms > time_ms:
            return False  # it lies between two windows, where hops are longer than windows
        if self.contents.push(time_ms, values) and self.due_ms == NEVER:
            self.due_ms = end_ms
        return False

    def fire(self, results: Results) -> int:
        end_ms = self.due_ms
        contents = self.contents
        contents.evict(end_ms - self.size_ms - 1)
        contents.write(end_ms, results)
        contents.evict(end_ms + self.every_ms - self.size_ms - 1)
        self.due_ms = end_ms + self.every_ms if contents.times else NEVER
        return end_ms

    def _end_after(self, time_ms: int) -> int:
        phase_ms = (time_ms - self.offset_ms - self.size_ms) % self.every_ms
        return time_ms + self.every_ms - phase_ms

    def pack(self) -> Packed:
        return [self.due_ms, self.contents.pack()]

    def unpack(self, packed: Packed) -> None:
        self.due_ms = packed[0]
        self.contents.unpack(packed[1])


class SessionWindow:
    """Samples with less than a gap between them, at most `max` long; one look when it is over.

    Time-weighted aggregates end at its last sample: the gap is no part of it.
    """

    __slots__ = ("contents", "due_ms", "gap_ms", "last_ms", "length_ms_max", "start_ms")
    lag_ms = 0

    def __init__(self, plan: WindowPlan) -> None:
        self.gap_ms = plan.spec.size_ms
        self.length_ms_max = plan.spec.max_ms or NEVER
        self.contents = _contents(plan)
        self.start_ms = self.last_ms = 0
        self.due_ms = NEVER

    def add(self, time_ms: int, values: Sequence[Value], _results: Results) -> bool:
        if self.contents.push(time_ms, values):
            if self.due_ms == NEVER:
                self.start_ms = time_ms
            self.last_ms = time_ms
            self.due_ms = min(time_ms + self.gap_ms, self.start_ms + self.length_ms_max)
        return False

    def fire(self, results: Results) -> int:
        end_ms = self.due_ms
        self.contents.write(self.last_ms, results)
        self.contents.clear()
        self.due_ms = NEVER
        return end_ms

    @property
    def keeps_samples(self) -> bool:
        return isinstance(self.contents, MovingContents)

    def pack(self) -> Packed:
        return [self.due_ms, self.start_ms, self.last_ms, self.contents.pack()]

    def unpack(self, packed: Packed) -> None:
        self.due_ms, self.start_ms, self.last_ms = packed[:3]
        self.contents.unpack(packed[3])


class CountWindow:
    """The last `count` samples, looked at with every `every_count`-th of them."""

    __slots__ = ("contents", "due_ms", "every_count", "samples_max", "since_look")
    lag_ms = 0
    keeps_samples = True

    def __init__(self, plan: WindowPlan) -> None:
        self.samples_max = plan.spec.count
        self.every_count = max(1, plan.spec.every_count)
        self.contents = MovingContents(plan)
        self.since_look = 0
        self.due_ms = NEVER

    def add(self, time_ms: int, values: Sequence[Value], results: Results) -> bool:
        if not self.contents.push(time_ms, values):
            return False
        if len(self.contents.times) > self.samples_max:
            self.contents.drop()
        self.since_look += 1
        if self.since_look < self.every_count:
            return False
        self.since_look = 0
        self.contents.write(time_ms, results)
        return True

    def fire(self, _results: Results) -> int:
        return self.due_ms  # time alone changes nothing here: it is never due

    def pack(self) -> Packed:
        return [self.since_look, self.contents.pack()]

    def unpack(self, packed: Packed) -> None:
        self.since_look = packed[0]
        self.contents.unpack(packed[1])


BUILDERS: dict[str, Callable[[WindowPlan], Window]] = {
    "sliding": _sliding,
    "tumbling": TumblingWindow,
    "hopping": HoppingWindow,
    "session": SessionWindow,
    "count": CountWindow,
}
