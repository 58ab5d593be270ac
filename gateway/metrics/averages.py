"""How fast a total grows: moving averages per minute, as an operating system reports its load."""

from __future__ import annotations

from math import exp

MINUTES = (1, 5, 15)
MINUTE_MS = 60_000


class LoadAverages:
    """Growth a minute, smoothed over 1, 5 and 15 minutes.

    Each look weighs what is older by e^(-elapsed/period), whatever the time between looks: a rate
    that is steady for some periods is the average.
    """

    __slots__ = ("_total", "per_minute")

    def __init__(self, total: int = 0) -> None:
        self._total = total
        self.per_minute: tuple[float, ...] = (0.0,) * len(MINUTES)

    def take(self, total: int, elapsed_ms: int) -> None:
        """Note the total, `elapsed_ms` after the last time; a look that takes no time is none."""
        if elapsed_ms <= 0:
            return
        rate = (total - self._total) * MINUTE_MS / elapsed_ms
        self._total = total
        self.per_minute = tuple(
            rate + exp(-elapsed_ms / (minutes * MINUTE_MS)) * (earlier - rate)
            for minutes, earlier in zip(MINUTES, self.per_minute, strict=True)
        )
