"""What passes between the gateway and a worker: MessagePack behind its length, on a socket."""

from __future__ import annotations

import socket
import struct
from typing import Any

from msgspec import msgpack

LENGTH = struct.Struct("<I")
FRAME_BYTES_MAX = 300 << 20


def encode_frame(content: object) -> bytes:
    """One frame.

    Raises:
        ValueError: it is larger than `FRAME_BYTES_MAX`.
    """
    body = msgpack.encode(content)
    if len(body) > FRAME_BYTES_MAX:
        raise ValueError(f"{len(body)} bytes; at most {FRAME_BYTES_MAX} can be returned")
    return LENGTH.pack(len(body)) + body


def receive_frame(connection: socket.socket) -> Any:
    """Wait for the next frame; None when the other side is gone."""
    head = _receive(connection, LENGTH.size)
    if head is None:
        return None
    (length,) = LENGTH.unpack(head)
    body = _receive(connection, length)
    return None if body is None else msgpack.decode(body)


def _receive(connection: socket.socket, length: int) -> bytes | None:
    received = bytearray()
    while len(received) < length:
        part = connection.recv(min(length - len(received), 1 << 20))
        if not part:
            return None
        received += part
    return bytes(received)
