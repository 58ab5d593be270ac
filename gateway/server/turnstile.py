"""Lets newcomers and leavers through a few at a time, so that nobody else waits for a crowd.

Thousands of clients that come back at once are ready in one turn of the event loop. What each of
them costs is small; all of it in one turn would be a second in which no message is taken and no
commit acknowledged.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from gateway.clock import Clock

TURN_MS = 5


class Turnstile:
    """Does what it is given at once while this turn has time for it, else in later turns, in order.

    A turn of the event loop gives `turn_ms` to it, and at least one piece of work.
    """

    def __init__(self, clock: Clock, turn_ms: int = TURN_MS) -> None:
        self._clock = clock
        self._turn_ms = turn_ms
        self._waiting: deque[Callable[[], None]] = deque()
        self._spent_ms = 0
        self._is_turning = False

    def __len__(self) -> int:
        """How much waits for a later turn."""
        return len(self._waiting)

    def enter(self, work: Callable[[], None]) -> None:
        """Do `work`, behind everything that waits already."""
        if self._waiting or self._spent_ms >= self._turn_ms:
            self._waiting.append(work)
            return
        began_ms = self._clock.monotonic_ms()
        work()
        # Most pieces take less than a millisecond; the clock ticks under one in so many of them.
        self._spent_ms += self._clock.monotonic_ms() - began_ms
        if self._spent_ms and not self._is_turning:
            self._is_turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._spent_ms = 0
        began_ms = self._clock.monotonic_ms()
        waiting = self._waiting
        try:
            while waiting:
                waiting.popleft()()
                if self._clock.monotonic_ms() - began_ms >= self._turn_ms:
                    break
        finally:
            self._is_turning = bool(waiting)
            if waiting:
                asyncio.get_running_loop().call_soon(self._turn)
