"""Connections beyond the connect rate: a few of them are told when to come back, the rest closed.

Reading a CONNECT in order to refuse it costs about what accepting it does, so only so many at once
are read. Times to come back are drawn at random: who is refused together shall not return together.
"""

from __future__ import annotations

import asyncio
import random
from typing import cast

from gateway.clock import Clock
from gateway.mqtt import ReasonCode, announced_version, encode_refusal
from gateway.session import retry_properties

TOLD_AT_ONCE_MAX = 64
ANSWER_WITHIN_MS = 1_000
CONNECT_BYTES_MAX = 4_096
CONNECT = 0x10


def draw_retry_s(spread_s: int) -> int:
    """When somebody who is refused should come back: in 1 to `spread_s` seconds."""
    return random.randint(1, max(1, spread_s))  # noqa: S311 - chance that guards no secret


class Explanations:
    """Everybody who is being told."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_ms: dict[Explanation, int] = {}

    def __len__(self) -> int:
        return len(self._since_ms)

    @property
    def has_room(self) -> bool:
        """Whether one more can be told."""
        return len(self._since_ms) < TOLD_AT_ONCE_MAX

    def enter(self, explanation: Explanation) -> None:
        self._since_ms[explanation] = self._clock.monotonic_ms()

    def leave(self, explanation: Explanation) -> None:
        self._since_ms.pop(explanation, None)

    def sweep(self) -> None:
        """Close who has not said CONNECT, or has not heard the answer; called once a second."""
        before_ms = self._clock.monotonic_ms() - ANSWER_WITHIN_MS
        for explanation in [
            one for one, since_ms in self._since_ms.items() if since_ms <= before_ms
        ]:
            explanation.abort()


class Explanation(asyncio.Protocol):
    """One connection that is refused: it hears why, and when to come back."""

    __slots__ = ("_explanations", "_received", "_spread_s", "_transport")

    def __init__(self, explanations: Explanations, spread_s: int) -> None:
        self._explanations = explanations
        self._spread_s = spread_s
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._explanations.enter(self)

    def data_received(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._received += data[:CONNECT_BYTES_MAX]
        version = announced_version(self._received, 0)
        if version:
            properties = retry_properties("too many connect at once", draw_retry_s(self._spread_s))
            code = ReasonCode.CONNECTION_RATE_EXCEEDED
            transport.write(encode_refusal(code, version, properties))
            transport.close()
        elif self._received[0] != CONNECT or len(self._received) >= CONNECT_BYTES_MAX:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._explanations.leave(self)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
