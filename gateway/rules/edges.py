"""Where windows begin and end: at even steps from the epoch, or at midnight in a time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from gateway.rules.spec import WindowSpec
from gateway.rules.watermarks import TIME_MS_MAX

SECOND_MS = 1_000
DAY_MS = 86_400_000
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
DAY_MAX = TIME_MS_MAX // DAY_MS - 2
"""The calendar ends with the year 9999; beyond it days are those of UTC."""


class Edges(Protocol):
    """The ends of the windows of one rule; each belongs to a window `[start, end)`."""

    def end_after(self, time_ms: int) -> int:
        """The first end after a moment."""
        ...

    def end_next(self, end_ms: int) -> int:
        """The end that follows an end."""
        ...

    def start_of(self, end_ms: int) -> int:
        """Where the window begins that has this end."""
        ...


class EvenEdges:
    """Ends each `every` after the epoch and the window's offset."""

    __slots__ = ("every_ms", "phase_ms", "size_ms")

    def __init__(self, spec: WindowSpec) -> None:
        self.size_ms = spec.size_ms
        self.every_ms = spec.every_ms or spec.size_ms
        self.phase_ms = spec.offset_ms + spec.size_ms

    def end_after(self, time_ms: int) -> int:
        return time_ms + self.every_ms - (time_ms - self.phase_ms) % self.every_ms

    def end_next(self, end_ms: int) -> int:
        return end_ms + self.every_ms

    def start_of(self, end_ms: int) -> int:
        return end_ms - self.size_ms


class DayEdges:
    """Ends at midnight in a time zone, or the window's offset later, however long the days are.

    Days are numbered from 1 January 1970; a window of several days ends where its number of days
    divides that of the day. A midnight that a change of the clocks skips is the moment after it,
    and of one that comes twice the first counts.
    """

    __slots__ = ("_clock", "_day", "_days_off", "_every", "_from_ms", "_size", "_to_ms", "_zone")

    def __init__(self, spec: WindowSpec) -> None:
        self._zone = ZoneInfo(spec.timezone or "UTC")
        self._size = spec.size_ms // DAY_MS
        self._every = (spec.every_ms or spec.size_ms) // DAY_MS
        self._days_off, clock_ms = divmod(spec.offset_ms, DAY_MS)
        self._clock = timedelta(milliseconds=clock_ms)
        # The day that was asked for last: moments come in order.
        self._from_ms, self._to_ms, self._day = 1, 0, 0

    def end_after(self, time_ms: int) -> int:
        day = self._day_at(time_ms) - self._size
        return self._start_ms((day // self._every + 1) * self._every + self._size)

    def end_next(self, end_ms: int) -> int:
        return self._start_ms(self._day_at(end_ms) + self._every)

    def start_of(self, end_ms: int) -> int:
        return self._start_ms(self._day_at(end_ms) - self._size)

    def _day_at(self, time_ms: int) -> int:
        """The number of the day that holds a moment."""
        if not self._from_ms <= time_ms < self._to_ms:
            day = time_ms // DAY_MS - self._days_off
            while self._start_ms(day) > time_ms:
                day -= 1
            while self._start_ms(day + 1) <= time_ms:
                day += 1
            self._day = day
            self._from_ms, self._to_ms = self._start_ms(day), self._start_ms(day + 1)
        return self._day

    def _start_ms(self, day: int) -> int:
        """When a day begins."""
        day += self._days_off
        if day > DAY_MAX:
            return day * DAY_MS + self._clock // timedelta(milliseconds=1)
        midnight = datetime.combine(date.fromordinal(EPOCH_ORDINAL + day), time())
        moment = (midnight + self._clock).replace(tzinfo=self._zone)
        return int(moment.astimezone(UTC).timestamp() * SECOND_MS)


def edges_of(spec: WindowSpec) -> Edges:
    """The edges of a tumbling or hopping window."""
    return EvenEdges(spec) if spec.timezone is None else DayEdges(spec)
