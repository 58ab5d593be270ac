"""A partial match of a sequence."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.rules.instants import NEVER
from gateway.rules.values import Value

NO_NAMES: Mapping[str, Value] = {}
NOTHING_CLOSED = 1 << 30


class Run:
    """What some events have met so far: the latest step, and how many of them it took.

    `step` is -1 before the first event. `parts` are the parts of an `all_of` that were taken, as
    bits. `anchor_ms` is the time from which the step's own `within` counts. `has_passed` says that
    an event came that the run did not take; `limit` is the first step that a `not` has closed to
    it, and `is_closed` that its step takes no more. `deadline_ms` is when nothing can come of it
    any more; `silent_ms` when the silence that it waits for is over. `is_matched` is a run that
    was a match already, and may become a longer one.
    """

    __slots__ = (
        "anchor_ms",
        "count",
        "deadline_ms",
        "has_passed",
        "is_closed",
        "is_matched",
        "last",
        "last_ms",
        "last_no",
        "limit",
        "names",
        "parts",
        "silent_ms",
        "start_ms",
        "start_no",
        "step",
    )

    def __init__(self) -> None:
        self.step = -1
        self.count = 0
        self.parts = 0
        self.start_no = self.start_ms = 0
        self.last_no = self.last_ms = self.anchor_ms = 0
        self.has_passed = False
        self.is_closed = False
        self.is_matched = False
        self.limit = NOTHING_CLOSED
        self.deadline_ms = self.silent_ms = NEVER
        self.names: Mapping[str, Value] = NO_NAMES
        self.last: Mapping[str, Value] = NO_NAMES

    def pack(self) -> list[Value]:
        """Its state as plain values."""
        return [
            [self.step, self.count, self.parts, self.limit],
            [self.start_no, self.start_ms, self.last_no, self.last_ms, self.anchor_ms],
            [self.has_passed, self.is_closed, self.is_matched],
            [self.deadline_ms, self.silent_ms],
            self.names,
            self.last,
        ]

    @classmethod
    def unpack(cls, packed: list[Value]) -> Run:
        """The run that `pack` was called on."""
        run = cls()
        place, times, flags, dues, run.names, run.last = packed
        run.step, run.count, run.parts, run.limit = place
        run.start_no, run.start_ms, run.last_no, run.last_ms, run.anchor_ms = times
        run.has_passed, run.is_closed, run.is_matched = flags
        run.deadline_ms, run.silent_ms = dues
        return run
