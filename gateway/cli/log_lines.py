"""The log of `penstock serve`: what clients cause and contain can neither fill a disk nor deceive.

Each kind of line has a budget, each line a length, and no line has a control character in it.
"""

from __future__ import annotations

import logging

from gateway.clock import Clock, SystemClock

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
LINES_MAX = 30
WITHIN_MS = 60_000
KINDS_MAX = 1_000
LINE_CHARACTERS_MAX = 1_000
CONTROL_CHARACTERS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029], "?")


class Kind:
    """What was said of one kind of line within the time that is looked at."""

    __slots__ = ("began_at_ms", "left_out", "lines")

    def __init__(self, now_ms: int) -> None:
        self.began_at_ms = now_ms
        self.lines = 0
        self.left_out = 0


class LineBudget(logging.Filter):
    """Lets through `LINES_MAX` lines a minute of each kind: of one text, before it is filled in.

    How many were left out stands on the next line of that kind.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: dict[tuple[str, str], Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now_ms = self._clock.monotonic_ms()
        name = (record.name, str(record.msg))
        kind = self._kinds.get(name)
        if kind is None:
            if len(self._kinds) >= KINDS_MAX:
                self._kinds.clear()
            kind = self._kinds[name] = Kind(now_ms)
        elif now_ms - kind.began_at_ms > WITHIN_MS:
            if kind.left_out:
                record.msg = f"{record.msg} (and {kind.left_out} lines like it before)"
            kind.began_at_ms, kind.lines, kind.left_out = now_ms, 0, 0
        kind.lines += 1
        if kind.lines > LINES_MAX:
            kind.left_out += 1
            return False
        return True


class PlainFormatter(logging.Formatter):
    """Writes a record as one line that ends; only a traceback below it has more."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging names it
        line = super().formatMessage(record)
        if len(line) > LINE_CHARACTERS_MAX:
            line = f"{line[:LINE_CHARACTERS_MAX]}…"
        return line.translate(CONTROL_CHARACTERS)


def start_log(level: str, clock: Clock | None = None) -> logging.Handler:
    """Write the log to stderr from this level on; returns the handler that does."""
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter(LOG_FORMAT))
    handler.addFilter(LineBudget(clock or SystemClock()))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    return handler
