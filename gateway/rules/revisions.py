"""Windows that can be told again: `allowed_lateness` (RULES T8).

Such a window keeps its samples for as long after its end as a late one may still come, and then its
result is computed anew: from all samples in order of time, those of one moment in the order in
which they came. So a result is that of a window which had them all from the start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gateway.rules.accumulators import Accumulator
from gateway.rules.aggregates import build_accumulator, build_fold
from gateway.rules.folds import Fold
from gateway.rules.instants import NEVER
from gateway.rules.spec import AggregateSpec
from gateway.rules.values import UNKNOWN, Value
from gateway.rules.window_contents import Packed, Results

if TYPE_CHECKING:
    from gateway.rules.windows import WindowPlan

REVISION = "$revision"
"""Not a name of the language: in the scope, how often a result has been told before."""


class RevisingWindow:
    """`[start, end)`, as its edges lie; looked at when it ends, and again for each late sample."""

    __slots__ = (
        "columns",
        "due_ms",
        "edges",
        "lateness_ms",
        "plan",
        "revisions",
        "taken",
        "times",
    )
    lag_ms = 0
    keeps_samples = True

    def __init__(self, plan: WindowPlan) -> None:
        self.plan = plan
        self.edges = plan.edges
        self.lateness_ms = plan.spec.allowed_lateness_ms
        self.due_ms = NEVER
        self.taken = 0
        # In the order in which they came: late ones stand behind younger ones.
        self.times: deque[int] = deque()
        self.columns: list[deque[Value]] = [deque() for _ in plan.specs]
        self.revisions: dict[int, int] = {}
        """How often each window was told that can still change, by its end."""

    def add(self, time_ms: int, values: Sequence[Value], _results: Results) -> bool:
        end_ms = self.edges.end_after(time_ms)
        if self.edges.start_of(end_ms) <= time_ms and self._keep(time_ms, values):
            self.due_ms = min(self.due_ms, end_ms)
        return False

    def fire(self, results: Results) -> int:
        end_ms = self.due_ms
        self.tell(end_ms, results)
        self._let_go(end_ms)
        next_ms = self.edges.end_next(end_ms)
        start_ms = self.edges.start_of(next_ms)
        self.due_ms = next_ms if any(time_ms >= start_ms for time_ms in self.times) else NEVER
        return end_ms

    def ends_reached(self, time_ms: int, watermark_ms: int) -> list[int]:
        """The ends of the windows that hold a moment and may still change, oldest first."""
        found = []
        end_ms = self.edges.end_after(time_ms)
        while self.edges.start_of(end_ms) <= time_ms:
            if end_ms > watermark_ms - self.lateness_ms:
                found.append(end_ms)
            end_ms = self.edges.end_next(end_ms)
        return found

    def take_late(self, time_ms: int, values: Sequence[Value], watermark_ms: int) -> list[int]:
        """Take in a late sample; returns the ends of the windows that must be told again."""
        ends = self.ends_reached(time_ms, watermark_ms)
        if not ends or not self._keep(time_ms, values):
            return []
        waiting = [end_ms for end_ms in ends if end_ms > watermark_ms]
        if waiting:
            self.due_ms = min(self.due_ms, waiting[0])
        return [end_ms for end_ms in ends if end_ms <= watermark_ms]

    def tell(self, end_ms: int, results: Results) -> int:
        """Write the results of the window that has this end; returns how often it was told."""
        plan, now = self.plan, self._folds()
        for time_ms, row in self._samples(end_ms):
            for one, value in zip(now, row, strict=True):
                if value is not None:
                    one.push(time_ms, value)
        for name, one, needed in zip(plan.names, now, plan.needs, strict=True):
            results[name] = one.result(end_ms) if one.count >= needed else UNKNOWN
        revision = self.revisions.get(end_ms, -1) + 1
        self.revisions[end_ms] = revision
        results[REVISION] = revision
        return revision

    def pack(self) -> Packed:
        revisions = [list(item) for item in self.revisions.items()]
        columns = [list(column) for column in self.columns]
        return [self.due_ms, revisions, [self.taken, [], list(self.times), columns]]

    def unpack(self, packed: Packed) -> None:
        self.due_ms, revisions, (self.taken, _, times, columns) = packed
        self.revisions = {end_ms: count for end_ms, count in revisions}  # noqa: C416 - pairs are lists
        self.plan.held += len(times) - len(self.times)
        self.times = deque(times)
        self.columns = [deque(column) for column in columns]

    def _keep(self, time_ms: int, values: Sequence[Value]) -> bool:
        """Keep what is a sample to at least one aggregate; when full, let the oldest go."""
        accepted = [
            value if accepts(value) else None
            for accepts, value in zip(self.plan.accepts, values, strict=True)
        ]
        if all(value is None for value in accepted):
            return False
        self.times.append(time_ms)
        for column, value in zip(self.columns, accepted, strict=True):
            column.append(value)
        self.taken += 1
        plan = self.plan
        plan.held += 1
        if len(self.times) > plan.samples_max or (
            plan.held > plan.held_max and len(self.times) > 1
        ):
            self._drop()
            plan.cut_samples += 1
        return True

    def _samples(self, end_ms: int) -> Iterator[tuple[int, tuple[Value, ...]]]:
        """The samples of a window in order of time."""
        start_ms = self.edges.start_of(end_ms)
        rows = zip(*self.columns, strict=True)
        held = [
            (time_ms, row)
            for time_ms, row in zip(self.times, rows, strict=True)
            if start_ms <= time_ms < end_ms
        ]
        yield from sorted(held, key=lambda sample: sample[0])

    def _folds(self) -> list[Accumulator | Fold]:
        return [_fold_of(spec) for spec in self.plan.specs]

    def _let_go(self, watermark_ms: int) -> None:
        """Forget what no late sample can change any more."""
        final_ms = watermark_ms - self.lateness_ms
        self.revisions = {end: count for end, count in self.revisions.items() if end > final_ms}
        start_ms = self.edges.start_of(self.edges.end_after(final_ms))
        while self.times and self.times[0] < start_ms:
            self._drop()

    def let_go(self) -> None:
        """Count its samples as held no more: its key is forgotten."""
        self.plan.held -= len(self.times)

    def _drop(self) -> None:
        self.plan.held -= 1
        self.times.popleft()
        for column in self.columns:
            column.popleft()


def _fold_of(spec: AggregateSpec) -> Accumulator | Fold:
    return build_accumulator(spec) or build_fold(spec)
