"""Both ends of a layer, driven by hand: a transport below it and a protocol above it."""

from __future__ import annotations

import asyncio


class FakeTransport(asyncio.Transport):
    """A socket's place: keeps what is written and what was asked; delivers what a test says."""

    def __init__(self, peer: tuple[str, int] = ("192.0.2.9", 5000)) -> None:
        super().__init__({"peername": peer})
        self.protocol: asyncio.Protocol | None = None
        self.written = bytearray()
        self.is_open = True
        self.was_aborted = False
        self.readable = asyncio.Event()
        self.readable.set()
        self.limits: tuple[int | None, int | None] = (None, None)

    def connect(self, protocol: asyncio.Protocol) -> None:
        """Be what `protocol` stands on."""
        self.protocol = protocol
        protocol.connection_made(self)

    @property
    def is_reading_now(self) -> bool:
        return self.readable.is_set()

    def deliver(self, data: bytes) -> None:
        """Let bytes arrive, unless the connection is closed; a test must not overrun a pause."""
        assert self.protocol is not None
        if self.is_open:
            assert self.is_reading_now, "it was paused"
            self.protocol.data_received(data)

    def take(self) -> bytes:
        """What was written since the last time."""
        written = bytes(self.written)
        self.written.clear()
        return written

    def write(self, data) -> None:
        if self.is_open:
            self.written += data

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self.readable.set()
            assert self.protocol is not None
            self.protocol.connection_lost(None)

    def abort(self) -> None:
        self.was_aborted = self.was_aborted or self.is_open
        self.close()

    def is_closing(self) -> bool:
        return not self.is_open

    def pause_reading(self) -> None:
        self.readable.clear()

    def resume_reading(self) -> None:
        self.readable.set()

    def set_write_buffer_limits(self, high=None, low=None) -> None:
        self.limits = (high, low)

    def get_write_buffer_size(self) -> int:
        return len(self.written)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return (0, self.limits[0] or 0)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol


class Listener(asyncio.Protocol):
    """The protocol above: notes what it hears."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.received = bytearray()
        self.deliveries = 0
        self.is_lost = False
        self.is_clogged = False

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        assert data
        self.received += data
        self.deliveries += 1

    def connection_lost(self, exc: Exception | None) -> None:
        assert not self.is_lost
        self.is_lost = True

    def pause_writing(self) -> None:
        self.is_clogged = True

    def resume_writing(self) -> None:
        self.is_clogged = False
