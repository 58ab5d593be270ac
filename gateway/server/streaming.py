"""A payload from a blob to a client, piece by piece, so that little of it is ever in memory.

While it is written, whatever else the connection has to say waits behind it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.metrics import Counters
from gateway.session import Streamed

LOG = logging.getLogger(__name__)
PIECE_BYTES = 128 << 10
# Answers that may wait behind a payload in pieces, before nothing more is read.
BEHIND_MAX = 100

ReadPiece = Callable[[str, int, int], Awaitable[bytes]]
"""Reads from the blob of that digest, from that byte on, at most so many bytes."""


class Line(Protocol):
    """Where pieces are written: a connection."""

    def hold_back(self) -> None:
        """Let everything but pieces wait until `let_go`."""
        ...

    def stream(self, piece: bytes) -> None:
        """Write a piece."""
        ...

    def let_go(self) -> None:
        """Write what has waited."""
        ...


async def stream_payload(
    line: Line,
    read_piece: ReadPiece,
    message: Streamed,
    wait_until_drained: Callable[[], Awaitable[None]],
) -> bool:
    """Write the payload of a message behind its head; False when the blob ends too early."""
    at = 0
    while at < message.streamed_bytes:
        await wait_until_drained()
        wanted = min(PIECE_BYTES, message.streamed_bytes - at)
        piece = await read_piece(message.digest, at, wanted)
        if not piece:
            LOG.error("blob %s ended after %d bytes; the client is cut off", message.digest, at)
            return False
        line.stream(piece)
        at += len(piece)
    return True


class Written(Protocol):
    """What a writer knows of its connection."""

    @property
    def writable(self) -> asyncio.Transport | None: ...

    def read_or_not(self) -> None: ...


class Writer:
    """Writes to one client, unless it is gone; while pieces are written, all else waits."""

    def __init__(self, connection: Written, counters: Counters, buffer_bytes: int) -> None:
        self._connection = connection
        self._counters = counters
        self._buffer_bytes = buffer_bytes
        self._behind: list[bytes] | None = None

    @property
    def is_owed_much(self) -> bool:
        """Whether so much waits behind the pieces that nothing more should be read."""
        return self._behind is not None and len(self._behind) > BEHIND_MAX

    def write(self, packets: bytes) -> None:
        """Write whole packets, now or behind the pieces."""
        if self._behind is not None:
            self._behind.append(packets)
            self._connection.read_or_not()
            return
        transport = self._connection.writable
        if transport is not None:
            self._counters.bytes_sent += len(packets)
            transport.write(packets)

    def hold_back(self) -> None:
        """Let everything but pieces wait until `let_go`."""
        self._behind = []
        self._limit_buffer(PIECE_BYTES)

    def stream(self, piece: bytes) -> None:
        """Write a piece of a message's payload."""
        transport = self._connection.writable
        if transport is not None:
            self._counters.publish_bytes_sent += len(piece)
            self._counters.bytes_sent += len(piece)
            transport.write(piece)

    def let_go(self) -> None:
        """Write what has waited."""
        behind, self._behind = self._behind, None
        self._limit_buffer(self._buffer_bytes)
        if behind:
            self.write(b"".join(behind))
        self._connection.read_or_not()

    def _limit_buffer(self, size_bytes: int) -> None:
        transport = self._connection.writable
        if transport is not None:
            transport.set_write_buffer_limits(high=size_bytes)
