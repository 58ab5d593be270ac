"""Event time: where it is read, what is late or early, and how far silence moves the watermark.

The watermark of a key says that no event before it is waited for any more (RULES T1 to T6).
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum

from gateway.rules.instants import NEVER
from gateway.rules.spec import TimeSpec
from gateway.rules.values import Value

TIME_MS_MAX = 253_402_300_799_999  # the end of the year 9999
BEFORE_ALL = 0


class Verdict(Enum):
    """What becomes of an event that is out of its time."""

    TAKE = "take"
    ADJUST = "adjust"
    DROP = "drop"
    SIDE = "side"


class TimePlan:
    """The time of one rule, worked out once."""

    __slots__ = (
        "by_arrival",
        "early_ms",
        "field",
        "idle_ms",
        "late_ms",
        "out_of_order_ms",
        "policy",
        "trail_ms",
        "walks",
    )

    def __init__(self, spec: TimeSpec) -> None:
        self.field = spec.field.evaluate if spec.field is not None else None
        self.by_arrival = spec.by == "arrival" or self.field is None
        # Arrival times come in order: there is nothing to sort, and nothing is late or early.
        self.out_of_order_ms = 0 if self.by_arrival else spec.out_of_order_ms
        self.late_ms = NEVER if spec.late_ms is None else spec.late_ms
        self.early_ms = NEVER if spec.early_ms is None else spec.early_ms
        self.policy = Verdict(spec.late_policy)
        default_idle_ms = 0 if self.by_arrival else NEVER
        self.idle_ms = default_idle_ms if spec.idle_ms is None else spec.idle_ms
        # In silence the watermark either walks on from where the key stopped, or trails the clock.
        self.walks = self.idle_ms != NEVER and not self.by_arrival and self.late_ms == NEVER
        self.trail_ms = self.late_ms if self.idle_ms != NEVER and not self.by_arrival else 0
        if self.idle_ms == NEVER:
            self.trail_ms = NEVER

    def is_timely(self, time_ms: int, arrival_ms: int, watermark_ms: int) -> bool:
        """Whether an event is neither late nor early."""
        return watermark_ms <= time_ms and self.is_near(time_ms, arrival_ms)

    def is_near(self, time_ms: int, arrival_ms: int) -> bool:
        """Whether an event came within `late` and `early` of its time."""
        return arrival_ms - self.late_ms <= time_ms <= arrival_ms + self.early_ms

    def bounds(self, arrival_ms: int) -> tuple[int, int]:
        """The first and the last time at which an event of this arrival is not late or early."""
        return arrival_ms - self.late_ms, min(arrival_ms + self.early_ms, TIME_MS_MAX)

    def adjusted(self, time_ms: int, arrival_ms: int, watermark_ms: int) -> int:
        """The nearest time at which the event is neither late nor early."""
        low_ms = max(watermark_ms, arrival_ms - self.late_ms)
        return max(low_ms, min(time_ms, arrival_ms + self.early_ms))

    def idle_watermark(self, newest_ms: int, last_arrival_ms: int, now_ms: int) -> int:
        """How far the watermark of a silent key may go at the arrival time `now_ms`.

        With `late` it stays that far behind the clock. Without, it walks on with the clock from
        where the key stopped, and stays `idle` behind it: the key's own clock may be any.
        """
        silent_ms = now_ms - last_arrival_ms
        if silent_ms < self.idle_ms:
            return BEFORE_ALL
        if self.by_arrival:
            return now_ms
        if self.late_ms != NEVER:
            return now_ms - self.late_ms
        return newest_ms - self.out_of_order_ms + silent_ms - self.idle_ms

    def wake_ms(self, due_ms: int, newest_ms: int, last_arrival_ms: int) -> int:
        """The first arrival time at which silence alone moves the watermark to `due_ms`."""
        if due_ms == NEVER or self.idle_ms == NEVER:
            return NEVER
        silent_from_ms = last_arrival_ms + self.idle_ms
        if self.by_arrival:
            return max(silent_from_ms, due_ms)
        if self.late_ms != NEVER:
            return max(silent_from_ms, due_ms + self.late_ms)
        return silent_from_ms + max(0, due_ms - newest_ms + self.out_of_order_ms)


def parse_event_time(value: Value) -> int | None:
    """Read epoch milliseconds or ISO 8601 text (UTC where it names no zone); None for all else."""
    if type(value) is str:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        value = moment.timestamp() * 1_000
    if type(value) is float and 0 <= value <= TIME_MS_MAX:
        return round(value)
    if type(value) is int and 0 <= value <= TIME_MS_MAX:
        return value
    return None
