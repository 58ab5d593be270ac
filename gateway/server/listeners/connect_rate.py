"""How many connections a second are taken: a token bucket that holds one second's worth."""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from gateway.clock import Clock
from gateway.server.token_bucket import TokenBucket

LOG = logging.getLogger(__name__)
SPREAD_RATIO = 4
SPREAD_S_MIN = 10
SPREAD_S_MAX = 300


class ConnectRate:
    """The budget of new connections of all listeners together.

    `spread_s` is over how many seconds those who were refused lately should come back.
    """

    def __init__(self, per_second: int, clock: Clock) -> None:
        self._per_second = per_second
        self._clock = clock
        self._bucket = TokenBucket(per_second, per_second, clock.monotonic_ms())
        self.refused = 0
        self._refusals_told = 0
        self.spread_s = SPREAD_S_MIN

    def admit(self) -> bool:
        """Take one more connection, if the budget has one left."""
        now_ms = self._clock.monotonic_ms()
        if not self._bucket.has(1, now_ms):
            self.refused += 1
            return False
        self._bucket.spend(1, now_ms)
        return True

    def tell(self) -> None:
        """Log how many were refused since the last time: one line, however many."""
        refused, self._refusals_told = self.refused - self._refusals_told, self.refused
        # Everybody who was refused must fit into the budget of that time, with room for others.
        needed_s = SPREAD_RATIO * refused // self._per_second
        self.spread_s = min(max(SPREAD_S_MIN, needed_s), SPREAD_S_MAX)
        if refused:
            LOG.warning(
                "%d connections refused: more than %d a second (limits: connect_rate)",
                refused,
                self._per_second,
            )


class Refusal(asyncio.Protocol):
    """What a connection beyond the budget meets; one for all, it remembers nothing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()
