"""How many connections a second are taken: a token bucket that holds one second's worth."""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from gateway.clock import Clock

LOG = logging.getLogger(__name__)
MS_PER_S = 1_000


class ConnectRate:
    """The budget of new connections of all listeners together."""

    def __init__(self, per_second: int, clock: Clock) -> None:
        self._per_second = per_second
        self._clock = clock
        # In thousandths of a connection, so that a millisecond's share is a whole number.
        self._tokens = per_second * MS_PER_S
        self._filled_at_ms = clock.monotonic_ms()
        self.refused = 0
        self._refusals_told = 0

    def admit(self) -> bool:
        """Take one more connection, if the budget has one left."""
        now_ms = self._clock.monotonic_ms()
        if now_ms > self._filled_at_ms:
            earned = (now_ms - self._filled_at_ms) * self._per_second
            self._tokens = min(self._per_second * MS_PER_S, self._tokens + earned)
            self._filled_at_ms = now_ms
        if self._tokens < MS_PER_S:
            self.refused += 1
            return False
        self._tokens -= MS_PER_S
        return True

    def tell(self) -> None:
        """Log how many were refused since the last time: one line, however many."""
        refused, self._refusals_told = self.refused - self._refusals_told, self.refused
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
