"""What lies between a socket and a client's protocol: a protocol below, a transport above.

TLS, WebSocket framing and the PROXY header are layers; each knows its own bytes, nothing of MQTT.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

Buffer = bytes | bytearray | memoryview


class Layer(asyncio.Transport, asyncio.Protocol):
    """Stands on a transport, and is the transport of the protocol above it; itself changes nothing.

    The protocol above hears `connection_made` at once, before any handshake of the layer, so that
    one deadline and one limit hold for every connection, however far it has come. What it writes
    before the layer `is_ready` is dropped: nobody could read it yet.

    Back-pressure is the transport's below in both directions: pausing stops the socket, and a full
    socket buffer pauses the writer above.
    """

    is_ready = False

    def __init__(self, upper: asyncio.BaseProtocol) -> None:
        super().__init__()
        self._upper = cast(asyncio.Protocol, upper)
        self._lower: asyncio.Transport
        self._is_closing = False
        self._is_paused = False
        self._is_held = False

    # -- asyncio.Protocol, to what is below

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._lower = cast(asyncio.Transport, transport)
        self._upper.connection_made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closing = True
        self._upper.connection_lost(exc)

    def pause_writing(self) -> None:
        self._upper.pause_writing()

    def resume_writing(self) -> None:
        self._upper.resume_writing()

    # -- asyncio.Transport, to what is above

    def write(self, data: Buffer) -> None:
        if self.is_ready and not self._is_closing:
            self._lower.write(data)

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        self._is_closing = True
        self._lower.close()

    def abort(self) -> None:
        self._is_closing = True
        self._lower.abort()

    def is_closing(self) -> bool:
        return self._is_closing or self._lower.is_closing()

    def pause_reading(self) -> None:
        self._is_paused = True
        self._read_or_not()

    def resume_reading(self) -> None:
        self._is_paused = False
        self._read_or_not()

    def is_reading(self) -> bool:
        return not self._is_paused and not self.is_closing()

    def hold_reading(self) -> None:
        """Stop reading for the layer's own sake, whatever the protocol above wants."""
        self._is_held = True
        self._read_or_not()

    def release_reading(self) -> None:
        """Read again, unless the protocol above has paused."""
        self._is_held = False
        self._read_or_not()

    def _read_or_not(self) -> None:
        if self._lower.is_closing():
            return
        if self._is_paused or self._is_held:
            self._lower.pause_reading()
        else:
            self._lower.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._lower.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._lower.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._lower.get_write_buffer_limits()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._lower.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._upper = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._upper
