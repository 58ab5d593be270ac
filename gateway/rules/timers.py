"""When silence alone makes something happen: the timelines of a lane by the time they must wake."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush, heapreplace

from gateway.rules.instants import NEVER
from gateway.rules.timelines import Timeline
from gateway.rules.watermarks import TimePlan


class Wakes:
    """Timelines ordered by the arrival time at which silence moves their watermark to what is due.

    An entry is a lower bound, corrected when it comes up: an event that delays the wake of its
    timeline costs nothing here.
    """

    __slots__ = ("entries", "time", "timelines")

    def __init__(self, time: TimePlan, timelines: Mapping[str, Timeline]) -> None:
        self.time = time
        self.timelines = timelines
        self.entries: list[tuple[int, str]] = []

    def queue(self, timeline: Timeline) -> None:
        """See that the timeline wakes no later than it must."""
        due_ms = timeline.due_ms
        if timeline.held and timeline.held[0][0] < due_ms:
            due_ms = timeline.held[0][0]
        wake_ms = self.time.wake_ms(due_ms, timeline.newest_ms, timeline.arrival_ms)
        if wake_ms < timeline.queued_ms:
            timeline.queued_ms = wake_ms
            heappush(self.entries, (wake_ms, timeline.text))

    def next_ms(self) -> int:
        """The first arrival time at which silence changes something; NEVER when it never does."""
        entries = self.entries
        while entries:
            wake_ms, text = entries[0]
            timeline = self.timelines.get(text)
            if timeline is None or timeline.queued_ms != wake_ms:
                heappop(entries)
                continue
            due_ms = timeline.next_instant()[0]
            exact_ms = self.time.wake_ms(due_ms, timeline.newest_ms, timeline.arrival_ms)
            if exact_ms <= wake_ms:
                return wake_ms
            timeline.queued_ms = exact_ms
            if exact_ms == NEVER:
                heappop(entries)
            else:
                heapreplace(entries, (exact_ms, text))
        return NEVER

    def take(self, now_ms: int) -> list[Timeline]:
        """Take out the timelines that wake by `now_ms`, their watermarks moved by the silence."""
        awake = []
        while self.next_ms() <= now_ms:
            _, text = heappop(self.entries)
            timeline = self.timelines[text]
            timeline.queued_ms = NEVER
            watermark_ms = self.time.idle_watermark(timeline.newest_ms, timeline.arrival_ms, now_ms)
            timeline.watermark_ms = max(timeline.watermark_ms, watermark_ms)
            awake.append(timeline)
        return awake
