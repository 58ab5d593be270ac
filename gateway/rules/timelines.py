"""One key's progress in event time, and the rules' state along it."""

from __future__ import annotations

from gateway.rules.event_names import Event
from gateway.rules.instants import NEVER
from gateway.rules.tracks import Track
from gateway.rules.values import Value
from gateway.rules.watermarks import BEFORE_ALL

Instant = tuple[int, int, str]
"""When something happens along a timeline: time, timers before events, rule id."""

NOTHING_DUE: Instant = (NEVER, 0, "")
HELD_MAX = 10_000


class Timeline:
    """What the rules of one lane know of one key.

    `tracks` has one place for each rule of the lane, filled when the rule first has something to
    remember. `held` are events that wait until the watermark says that none before them will come;
    their second item keeps events of one time in the order of their arrival. A key that is expected
    is never forgotten for its age.
    """

    __slots__ = (
        "aged_ms",
        "arrival_ms",
        "due_ms",
        "held",
        "held_no",
        "is_dirty",
        "is_expected",
        "is_settled",
        "key",
        "newest_ms",
        "queued_ms",
        "text",
        "tracks",
        "values",
        "watermark_ms",
    )

    def __init__(self, key: Value, text: str, tracks: list[Track | None]) -> None:
        self.key = key
        self.text = text
        self.tracks = tracks
        self.watermark_ms = BEFORE_ALL
        self.newest_ms = BEFORE_ALL - 1
        self.arrival_ms = 0
        self.aged_ms = 0
        self.due_ms = NEVER
        self.queued_ms = NEVER
        self.held: list[tuple[int, int, Event]] = []
        self.held_no = 0
        self.values: tuple[Value, ...] | None = None
        self.is_settled = False
        self.is_dirty = False
        self.is_expected = False

    @property
    def has_active_alarm(self) -> bool:
        return any(track is not None and track.condition.is_active for track in self.tracks)

    def earliest_due(self) -> int:
        """When a timer may be due, at the earliest; `next_timer` knows exactly."""
        due_ms = NEVER
        for track in self.tracks:
            if track is not None and track.due_ms < due_ms:
                due_ms = track.due_ms
        return due_ms

    def next_timer(self) -> tuple[Instant, Track | None]:
        """The earliest timer: of one moment, that of the first rule by id."""
        first, first_track = NOTHING_DUE, None
        for track in self.tracks:
            if track is not None and track.due_ms < NEVER and not track.plan.is_stopped:
                instant = (track.due_ms, 0, track.plan.spec.id)
                if instant < first:
                    first, first_track = instant, track
        return first, first_track

    def next_instant(self) -> Instant:
        """What the watermark reaches next: a timer, or an event that was held back."""
        instant, _ = self.next_timer()
        return min(instant, (self.held[0][0], 1, "")) if self.held else instant
