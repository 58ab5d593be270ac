"""Which samples an aggregate sees, and when its value can change: the window of a rule and a key.

Tumbling, hopping and session windows are `[start, end)`; a sliding one is `(t - size, t]`. Samples
come in order of event time: sorting them is the timeline's affair. Each window says by `due_ms`
when it must be fired next, whatever comes, before any sample of that time or later is added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.rules.aggregates import accepts, build_accumulator
from gateway.rules.edges import Edges, EvenEdges, edges_of
from gateway.rules.instants import NEVER
from gateway.rules.revisions import RevisingWindow
from gateway.rules.sliding_means import SlidingMean
from gateway.rules.spec import AggregateSpec, WindowSpec
from gateway.rules.values import UNKNOWN, Value
from gateway.rules.window_contents import (
    Contents,
    GrowingContents,
    MovingContents,
    Packed,
    Results,
)

SAMPLES_MAX = 10_000
HELD_MAX = 2_000_000
ALIGNED = frozenset({"tumbling", "hopping"})
NO_EDGES = EvenEdges(WindowSpec("tumbling", size_ms=1))
# These have a value where there is nothing: none.
KNOWN_WHEN_EMPTY = frozenset({"count", "distinct"})


class WindowPlan:
    """What the windows of one rule have in common, worked out once."""

    __slots__ = (
        "accepts",
        "are_mergeable",
        "build",
        "cut_samples",
        "edges",
        "held",
        "held_max",
        "names",
        "needs",
        "samples_max",
        "spec",
        "specs",
    )

    def __init__(
        self,
        spec: WindowSpec,
        aggregates: Sequence[AggregateSpec],
        samples_max: int = SAMPLES_MAX,
        held_max: int = HELD_MAX,
    ) -> None:
        self.spec = spec
        self.samples_max = max(samples_max, spec.count)
        self.cut_samples = 0
        """How many samples have left a window early, because there was no room for them."""
        self.held = 0
        """How many samples the windows of all keys hold."""
        self.held_max = held_max
        self.specs = tuple(aggregates)
        self.names = tuple(aggregate.name for aggregate in aggregates)
        self.accepts = tuple(accepts(aggregate.function) for aggregate in aggregates)
        self.needs = tuple(_needed(spec, aggregate) for aggregate in aggregates)
        self.are_mergeable = all(build_accumulator(aggregate) for aggregate in aggregates)
        self.build = RevisingWindow if spec.allowed_lateness_ms else BUILDERS[spec.kind]
        self.edges: Edges = edges_of(spec) if spec.kind in ALIGNED else NO_EDGES

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

    def let_go(self) -> None:
        """Count its samples as held no more: its key is forgotten."""
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


def _contents(plan: WindowPlan) -> Contents:
    return GrowingContents(plan) if plan.are_mergeable else MovingContents(plan)


class SampledWindow:
    """What windows have in common that keep contents."""

    __slots__ = ()
    contents: Contents

    def let_go(self) -> None:
        self.contents.clear()


class SlidingWindow(SampledWindow):
    """`(t - size, t]`, looked at with each sample and whenever one leaves."""

    __slots__ = ("contents", "due_ms", "size_ms")
    contents: MovingContents
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
            plan.held -= 1
        value = values[0]
        if plan.accepts[0](value):
            times.append(time_ms)
            column.append(value)
            fold.push(time_ms, value)
            contents.taken += 1
            plan.held += 1
            if len(times) > plan.samples_max or (plan.held > plan.held_max and len(times) > 1):
                contents.drop()
                plan.cut_samples += 1
        self.due_ms = times[0] + self.size_ms + 1 if times else NEVER
        is_known = fold.count >= plan.needs[0]
        results[plan.names[0]] = fold.result(time_ms) if is_known else UNKNOWN
        return True


def _sliding(plan: WindowPlan) -> Window:
    if len(plan.specs) > 1:
        return SlidingWindow(plan)
    if plan.specs[0].function == "avg":
        return SlidingMean(plan)
    return LeanSlidingWindow(plan)


class TumblingWindow(SampledWindow):
    """`[start, end)`, as its edges lie; one look at its end, none at an empty one."""

    __slots__ = ("contents", "due_ms", "edges")
    lag_ms = 0

    def __init__(self, plan: WindowPlan) -> None:
        self.edges = plan.edges
        self.contents = _contents(plan)
        self.due_ms = NEVER

    def add(self, time_ms: int, values: Sequence[Value], _results: Results) -> bool:
        if self.contents.push(time_ms, values) and self.due_ms == NEVER:
            self.due_ms = self.edges.end_after(time_ms)
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


class HoppingWindow(SampledWindow):
    """`[start, start + size)` from every hop on; one look at the end of each that isn't empty."""

    __slots__ = ("contents", "due_ms", "edges")
    contents: MovingContents
    lag_ms = 0
    keeps_samples = True

    def __init__(self, plan: WindowPlan) -> None:
        self.edges = plan.edges
        self.contents = MovingContents(plan)
        self.due_ms = NEVER

    def add(self, time_ms: int, values: Sequence[Value], _results: Results) -> bool:
        end_ms = self.edges.end_after(time_ms)
        if self.edges.start_of(end_ms) > time_ms:
            return False  # it lies between two windows, where hops are longer than windows
        if self.contents.push(time_ms, values) and self.due_ms == NEVER:
            self.due_ms = end_ms
        return False

    def fire(self, results: Results) -> int:
        end_ms = self.due_ms
        contents = self.contents
        contents.evict(self.edges.start_of(end_ms) - 1)
        contents.write(end_ms, results)
        next_ms = self.edges.end_next(end_ms)
        contents.evict(self.edges.start_of(next_ms) - 1)
        self.due_ms = next_ms if contents.times else NEVER
        return end_ms

    def pack(self) -> Packed:
        return [self.due_ms, self.contents.pack()]

    def unpack(self, packed: Packed) -> None:
        self.due_ms = packed[0]
        self.contents.unpack(packed[1])


class SessionWindow(SampledWindow):
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


class CountWindow(SampledWindow):
    """The last `count` samples, looked at with every `every_count`-th of them."""

    __slots__ = ("contents", "due_ms", "every_count", "samples_max", "since_look")
    contents: MovingContents
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
