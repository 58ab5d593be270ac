"""Where time comes from: the machine's clocks, and a twin of them that is driven by hand."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for records, monotonic time for intervals."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, as the machine believes; it may step either way."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds since some fixed moment; it never runs backwards."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


class ManualClock:
    """A clock that moves when it is told to; for tests, simulations and replays."""

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms
        self._monotonic_ms = 0

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_ms(self) -> int:
        return self._monotonic_ms

    def advance(self, ms: int) -> None:
        """Let `ms` milliseconds pass on both clocks.

        Raises:
            ValueError: `ms` is negative; a wall clock that steps back is `step`.
        """
        if ms < 0:
            raise ValueError(f"time can't pass backwards: {ms} ms")
        self._now_ms += ms
        self._monotonic_ms += ms

    def step(self, ms: int) -> None:
        """Set the wall clock forward or back by `ms`, as NTP or a person does."""
        self._now_ms += ms
