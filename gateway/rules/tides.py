"""How far the time of whole partitions has come, for rules with `watermark: partition` (RULES T6).

Theory of operation. A tide is the watermark of one partition of a stream, as one rule sees it: the
newest event time of any key, less `out_of_order`; in silence it moves as that of a key does. A key
stands where the lowest of the tides stands from which its events have come. What is due along a key
is queued at each of them that has not passed it yet, so it comes up when the last of them has. A
tide knows exactly what is due next: silence moves all tides then, and only then, so that a replay
sees the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush

from gateway.rules.instants import NEVER
from gateway.rules.timelines import Timeline
from gateway.rules.watermarks import BEFORE_ALL, TimePlan

TideName = tuple[str, int]
"""The stream, and the number of the partition."""


class Tide:
    """The time of one partition, and what is queued until it has passed.

    An entry is a lower bound, corrected when it comes up.
    """

    __slots__ = ("arrival_ms", "entries", "is_dirty", "name", "newest_ms", "queued", "watermark_ms")

    def __init__(self, name: TideName) -> None:
        self.name = name
        self.newest_ms = BEFORE_ALL - 1
        self.arrival_ms = 0
        self.watermark_ms = BEFORE_ALL
        self.entries: list[tuple[int, str]] = []
        self.queued: dict[str, int] = {}
        self.is_dirty = True

    def rise(self, watermark_ms: int) -> None:
        """Move the watermark, never back."""
        if watermark_ms > self.watermark_ms:
            self.watermark_ms = watermark_ms
            self.is_dirty = True

    def queue(self, text: str, due_ms: int) -> None:
        """Have a key come up once the watermark has reached `due_ms`, unless it is there."""
        if self.watermark_ms < due_ms < self.queued.get(text, NEVER):
            self.queued[text] = due_ms
            heappush(self.entries, (due_ms, text))

    def pop(self) -> str:
        """Take out the key that comes up next; `due_ms` has found it."""
        _, text = heappop(self.entries)
        del self.queued[text]
        return text

    def due_ms(self, timelines: Mapping[str, Timeline]) -> int:
        """When the next of its keys is due; NEVER when none is."""
        while self.entries:
            due_ms, text = self.entries[0]
            if self.queued.get(text) != due_ms:
                heappop(self.entries)
                continue
            exact_ms = timelines[text].next_instant()[0]
            if exact_ms <= due_ms:
                return due_ms
            self.pop()
            self.queue(text, exact_ms)
        return NEVER


class Tides:
    """All partitions of one lane, with the keys that wait for them.

    It stands in for `gateway.rules.timers.Wakes`.
    """

    def __init__(
        self,
        time: TimePlan,
        timelines: Mapping[str, Timeline],
        awaited_ms: Callable[[], int],
    ) -> None:
        """Begin without any; `awaited_ms` is a moment that all must pass, NEVER for none."""
        self.time = time
        self.timelines = timelines
        self.awaited_ms = awaited_ms
        self.by_name: dict[TideName, Tide] = {}
        self.reach: dict[str, tuple[Tide, ...]] = {}
        """The tides from which the events of each key have come; without any, all count."""

    def tide(self, name: TideName) -> Tide:
        """The tide of a partition, as it stands or new."""
        found = self.by_name.get(name)
        if found is None:
            found = self.by_name[name] = Tide(name)
            self.settle()
        return found

    def join(self, timeline: Timeline, tide: Tide) -> None:
        """Note that an event of the key has come from the partition."""
        known = self.reach.get(timeline.text, ())
        if tide not in known:
            self.refresh(timeline)
            self.reach[timeline.text] = (*known, tide)

    def leave(self, timeline: Timeline) -> None:
        """Forget a key."""
        self.reach.pop(timeline.text, None)
        for tide in self.by_name.values():
            tide.queued.pop(timeline.text, None)

    def lowest_ms(self) -> int:
        """What every tide has passed."""
        return min((tide.watermark_ms for tide in self.by_name.values()), default=BEFORE_ALL)

    def refresh(self, timeline: Timeline) -> None:
        """Bring the watermark of a key up to where its tides stand."""
        lowest_ms = min((tide.watermark_ms for tide in self._reach_of(timeline)), default=0)
        timeline.watermark_ms = max(timeline.watermark_ms, lowest_ms)

    def queue(self, timeline: Timeline) -> None:
        """See that the key is looked at when its time has come."""
        due_ms = timeline.next_instant()[0]
        if due_ms < NEVER:
            for tide in self._reach_of(timeline):
                tide.queue(timeline.text, due_ms)

    def settle(self) -> None:
        """Queue every key where it belongs, once keys and tides have been taken over."""
        for tide in self.by_name.values():
            tide.entries.clear()
            tide.queued.clear()
        for timeline in self.timelines.values():
            self.queue(timeline)

    def passed(self, tides: Iterable[Tide], *others: Timeline) -> list[Timeline]:
        """Take out the keys with something due that these tides, and all of theirs, have passed.

        `others` are keys that may be among them without being queued.
        """
        found: dict[str, Timeline] = {}
        for tide in tides:
            while tide.due_ms(self.timelines) <= tide.watermark_ms:
                timeline = self.timelines[tide.pop()]
                self.refresh(timeline)
                if timeline.next_instant()[0] <= timeline.watermark_ms:
                    found[timeline.text] = timeline
        for timeline in others:
            self.refresh(timeline)
            if timeline.next_instant()[0] <= timeline.watermark_ms:
                found[timeline.text] = timeline
        return list(found.values())

    @property
    def entries(self) -> list[tuple[int, str]]:
        """When silence changes something next, as the one entry of a list."""
        wake_ms = self.next_ms()
        return [(wake_ms, "")] if wake_ms < NEVER else []

    def next_ms(self) -> int:
        """The first arrival time at which silence changes something; NEVER when it never does."""
        return min((self._wake_ms(tide) for tide in self.by_name.values()), default=NEVER)

    def take(self, now_ms: int) -> list[Timeline]:
        """Take out the keys that silence until `now_ms` brings up to what is due.

        All tides rise together, so that what follows at one of them needs no second look.
        """
        if self.next_ms() > now_ms:
            return []
        for tide in self.by_name.values():
            tide.rise(self.time.idle_watermark(tide.newest_ms, tide.arrival_ms, now_ms))
        return self.passed(self.by_name.values())

    def _wake_ms(self, tide: Tide) -> int:
        awaited_ms = self.awaited_ms()
        due_ms = tide.due_ms(self.timelines)
        if awaited_ms > tide.watermark_ms:
            due_ms = min(due_ms, awaited_ms)
        return self.time.wake_ms(due_ms, tide.newest_ms, tide.arrival_ms)

    def _reach_of(self, timeline: Timeline) -> Iterable[Tide]:
        return self.reach.get(timeline.text) or self.by_name.values()
