"""Closing a connection so that its client can read why.

A socket that is closed while its client is still sending is reset, and the reset may overtake the
reason that was written before. So the gateway says that it is done, listens to nothing any more,
and waits a while for the client to be done, too.
"""

from __future__ import annotations

import asyncio

# Who goes on sending after the farewell as if nothing had happened has not read it.
UNHEARD_BYTES_MAX = 4 << 20


class Lingering(asyncio.Protocol):
    """What a connection becomes after its farewell: it hears nothing, and ends with the client."""

    def __init__(self, transport: asyncio.Transport, ended: asyncio.BaseProtocol) -> None:
        self._transport = transport
        self._ended = ended
        self._unheard_bytes = 0

    def data_received(self, data: bytes) -> None:
        self._unheard_bytes += len(data)
        if self._unheard_bytes > UNHEARD_BYTES_MAX:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.connection_lost(exc)


def linger(transport: asyncio.Transport, protocol: asyncio.BaseProtocol) -> bool:
    """Send the end, and wait for the client's; False where the transport has no half of an end.

    The caller bounds the time.
    """
    try:
        if not transport.can_write_eof():
            return False
    except NotImplementedError:
        # TLS and WebSocket have farewells of their own.
        return False
    transport.set_protocol(Lingering(transport, protocol))
    transport.resume_reading()
    transport.write_eof()
    return True
