"""The keys that a lane knows, bounded in number and in age."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush, heapreplace

from gateway.rules.spec import StateSpec
from gateway.rules.timelines import Timeline
from gateway.rules.values import Value


class Roster:
    """The timelines of a lane by key; where there is no room, the key longest silent is forgotten.

    A key that is silent for longer than `ttl` is forgotten too, unless an alarm of it is up, which
    nothing has cleared. Ages are arrival times. `forget` is called before a timeline is let go.
    """

    __slots__ = ("by_age", "forget", "forgotten", "keys_max", "timelines", "tracks", "ttl_ms")

    def __init__(self, spec: StateSpec, tracks: int, forget: Callable[[Timeline], None]) -> None:
        self.keys_max = spec.max_keys
        self.ttl_ms = spec.ttl_ms
        self.tracks = tracks
        self.forget = forget
        self.timelines: dict[str, Timeline] = {}
        self.by_age: list[tuple[int, str]] = []
        self.forgotten: list[Timeline] = []

    def find(self, key: Value, text: str, arrival_ms: int) -> Timeline:
        """The timeline of a key, as it stands or new."""
        timeline = self.timelines.get(text)
        if timeline is not None:
            if not self._is_over(timeline, arrival_ms):
                return timeline
            self.let_go(timeline)
        oldest = self._oldest()
        if oldest is not None and (
            len(self.timelines) >= self.keys_max or self._is_over(oldest, arrival_ms)
        ):
            self.let_go(oldest)
        return self.add(key, text, arrival_ms)

    def add(self, key: Value, text: str, arrival_ms: int) -> Timeline:
        """Begin the timeline of a key that isn't known."""
        timeline = Timeline(key, text, [None] * self.tracks)
        timeline.arrival_ms = timeline.aged_ms = arrival_ms
        self.timelines[text] = timeline
        heappush(self.by_age, (arrival_ms, text))
        return timeline

    def _is_over(self, timeline: Timeline, arrival_ms: int) -> bool:
        silent_ms = arrival_ms - timeline.arrival_ms
        return (
            silent_ms > self.ttl_ms and not timeline.is_expected and not timeline.has_active_alarm
        )

    def _oldest(self) -> Timeline | None:
        """The timeline that has been silent for longest; of equals, the first by key.

        The entries are lower bounds of the ages, corrected when they come up.
        """
        by_age = self.by_age
        while by_age:
            aged_ms, text = by_age[0]
            timeline = self.timelines.get(text)
            if timeline is None or timeline.aged_ms != aged_ms:
                heappop(by_age)
            elif timeline.arrival_ms > aged_ms:
                timeline.aged_ms = timeline.arrival_ms
                heapreplace(by_age, (timeline.aged_ms, text))
            else:
                return timeline
        return None

    def let_go(self, timeline: Timeline) -> None:
        """Forget a key."""
        self.forget(timeline)
        del self.timelines[timeline.text]
        self.forgotten.append(timeline)
