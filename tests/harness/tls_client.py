"""The client's half of a TLS connection over a FakeTransport, written on the standard library."""

from __future__ import annotations

import asyncio
import ssl

from tests.harness.transports import FakeTransport

WAIT_S_MAX = 10.0


class TlsClient:
    """Speaks TLS to whatever stands on the transport."""

    def __init__(self, wire: FakeTransport, context: ssl.SSLContext) -> None:
        self.wire = wire
        self._incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.has_heard_goodbye = False
        self.tls = context.wrap_bio(self._incoming, self.outgoing, server_hostname="localhost")

    async def exchange(self, *, piece_bytes: int = 1 << 20) -> None:
        """Deliver what the client has to say, in pieces, and take the answer."""
        outgoing = self.outgoing.read()
        for start in range(0, len(outgoing), piece_bytes):
            self.wire.deliver(outgoing[start : start + piece_bytes])
            async with asyncio.timeout(WAIT_S_MAX):
                await self.wire.readable.wait()
        self._incoming.write(self.wire.take())

    async def connect(self, *, piece_bytes: int = 1 << 20) -> None:
        """The whole handshake, or what is left of it.

        Raises:
            ssl.SSLError: the server's alert, or our own complaint.
        """
        while self.wire.is_open:
            await self.wire.readable.wait()
            self._incoming.write(self.wire.take())
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.exchange(piece_bytes=piece_bytes)
            else:
                await self.exchange(piece_bytes=piece_bytes)
                return
        # What the server said before it closed.
        self.tls.do_handshake()

    def send(self, data: bytes, *, piece_bytes: int = 1 << 20) -> None:
        """Encrypt and deliver, in pieces."""
        while data:
            data = data[self.tls.write(data) :]
        outgoing = self.outgoing.read()
        for start in range(0, len(outgoing), piece_bytes):
            self.wire.deliver(outgoing[start : start + piece_bytes])

    def receive(self) -> bytes:
        """Decrypt what has come; ends at the server's goodbye."""
        self._incoming.write(self.wire.take())
        received = b""
        try:
            while piece := self.tls.read(1 << 16):
                received += piece
            self.has_heard_goodbye = True
        except ssl.SSLWantReadError:
            pass
        return received
