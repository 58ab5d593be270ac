"""The largest value of late, which any number of readers may ask for."""

from __future__ import annotations


class RecentMaximum:
    """The largest of the values noted in the last `within_ms`, and at most twice as long ago."""

    __slots__ = ("_before", "_began_at_ms", "_now", "_within_ms")

    def __init__(self, within_ms: int) -> None:
        self._within_ms = within_ms
        self._began_at_ms = 0
        self._now = 0.0
        self._before = 0.0

    def note(self, value: float, now_ms: int) -> None:
        """Take a value into account."""
        self._move(now_ms)
        self._now = max(self._now, value)

    def at(self, now_ms: int) -> float:
        """The maximum; 0 when nothing was noted for long enough."""
        self._move(now_ms)
        return max(self._now, self._before)

    def _move(self, now_ms: int) -> None:
        passed = (now_ms - self._began_at_ms) // self._within_ms
        if passed > 0:
            self._before = self._now if passed == 1 else 0.0
            self._now = 0.0
            self._began_at_ms += passed * self._within_ms
