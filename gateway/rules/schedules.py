"""When a schedule is open, and when a rule's `active` next lets its alarms through (RULES L10).

Both are functions of event time and nothing else. Opening hours are spans between two instants: a
time of day that a change of the clocks skips counts as the same time after it, and one that comes
twice is the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from gateway.rules.instants import NEVER
from gateway.rules.spec import Expression, Schedule
from gateway.rules.values import Value
from gateway.rules.watermarks import TIME_MS_MAX

SECOND_MS = 1_000
QUARTER_MS = 900_000
"""Hours of the day begin at a quarter of an hour in every time zone."""
HORIZON_MS = 9 * 86_400_000
"""A week, its edges, and a change of the clocks: what doesn't open within it never does."""
CHANGES_MAX = 2_000
DAY_MINUTES = 24 * 60


class Hours:
    """The opening hours of one schedule."""

    __slots__ = ("_from_ms", "_is_open", "_to_ms", "_zone", "name", "schedule")

    def __init__(self, schedule: Schedule) -> None:
        self.name = schedule.name
        self.schedule = schedule
        self._zone = ZoneInfo(schedule.timezone)
        # The span round the last moment that was asked for: events come in order of time.
        self._from_ms, self._to_ms, self._is_open = 1, 0, False

    def is_open(self, time_ms: int) -> bool:
        """Whether it is open at a moment."""
        if not self._from_ms <= time_ms < self._to_ms:
            self._look(time_ms)
        return self._is_open

    def next_change_ms(self, time_ms: int) -> int:
        """The first moment after `time_ms` at which it opens or closes; NEVER if it never does."""
        if not self._from_ms <= time_ms < self._to_ms:
            self._look(time_ms)
        return self._to_ms

    def _look(self, time_ms: int) -> None:
        time_ms = max(0, min(time_ms, TIME_MS_MAX - 2 * HORIZON_MS))
        self._is_open, self._from_ms, self._to_ms = False, time_ms, NEVER
        for opens_ms, closes_ms in self._spans(time_ms):
            if opens_ms <= time_ms < closes_ms:
                self._is_open, self._to_ms = True, closes_ms
            elif self._is_open and opens_ms <= self._to_ms < closes_ms:
                self._to_ms = closes_ms
            elif not self._is_open and time_ms < opens_ms < self._to_ms:
                self._to_ms = opens_ms
        if self._is_open and self._to_ms > time_ms + HORIZON_MS:
            self._to_ms = NEVER

    def _spans(self, time_ms: int) -> Iterator[tuple[int, int]]:
        """The opening hours from the day before a moment on, in order."""
        schedule = self.schedule
        today = datetime.fromtimestamp(time_ms / SECOND_MS, self._zone).date()
        is_overnight = schedule.to_minute <= schedule.from_minute
        for ahead in range(-2, 12):
            day = today + timedelta(days=ahead)
            if day.weekday() in schedule.days:
                closes_on = day + timedelta(days=1) if is_overnight else day
                opens_ms = self._instant_ms(day, schedule.from_minute)
                yield opens_ms, self._instant_ms(closes_on, schedule.to_minute)

    def _instant_ms(self, day: date, minute: int) -> int:
        days, minute = divmod(minute, DAY_MINUTES)
        clock = time(minute // 60, minute % 60)
        moment = datetime.combine(day + timedelta(days=days), clock, self._zone)
        return int(moment.astimezone(UTC).timestamp()) * SECOND_MS


class Gate:
    """A rule's `active`: whether an alarm may rise at a moment."""

    __slots__ = ("_evaluate", "_hours", "_reads_time")

    def __init__(self, expression: Expression, schedules: Sequence[Schedule]) -> None:
        self._evaluate = expression.evaluate
        self._hours = [Hours(one) for one in schedules if one.name in expression.names]
        self._reads_time = "ts" in expression.names

    def is_open(self, time_ms: int) -> bool:
        """Whether `active` is true; what can't be known doesn't hold alarms back."""
        scope: dict[str, Value] = {hours.name: hours.is_open(time_ms) for hours in self._hours}
        return self._evaluate({**scope, "ts": time_ms}) is not False

    def next_opening_ms(self, time_ms: int) -> int:
        """The first moment after `time_ms` at which it is found open; NEVER within nine days.

        It is looked at whenever a schedule changes, and, if it reads the time itself, each quarter
        of an hour.
        """
        moment_ms = time_ms
        for _ in range(CHANGES_MAX):
            changes = [hours.next_change_ms(moment_ms) for hours in self._hours]
            if self._reads_time:
                changes.append((moment_ms // QUARTER_MS + 1) * QUARTER_MS)
            moment_ms = min(changes, default=NEVER)
            if moment_ms > time_ms + HORIZON_MS:
                return NEVER
            if self.is_open(moment_ms):
                return moment_ms
        return NEVER
