"""What passes between a desk and members in other processes: frames of MessagePack on a socket.

A frame is the length of its body, four bytes little-endian, and the body: a call is ``[number,
name, arguments]``, its answer ``[number, None, result]`` or ``[number, error name, message]``.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import msgpack

from gateway.errors import (
    ChangeRefused,
    GroupRefused,
    MemberFenced,
    OffsetOutOfRange,
    RequestUnknown,
    StoreError,
    StoreFull,
    StoreUnavailable,
    StreamInvalid,
    StreamMismatch,
    UnknownStream,
)
from gateway.store.cursors import Key

SOCKET_NAME = "penstock.sock"
LENGTH = struct.Struct("<I")
FRAME_BYTES_MAX = 300 << 20
PATH_BYTES_MAX = 100
ERRORS = {
    error.__name__: error
    for error in (
        ChangeRefused,
        GroupRefused,
        MemberFenced,
        OffsetOutOfRange,
        RequestUnknown,
        StoreError,
        StoreFull,
        StoreUnavailable,
        StreamInvalid,
        StreamMismatch,
        UnknownStream,
    )
}


def error_name(error: StoreError) -> str:
    """The name that an error travels under: its own, or that of the nearest that has one."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in ERRORS)


async def read_frame(reader: asyncio.StreamReader) -> Any:
    """Read the next frame.

    Raises:
        asyncio.IncompleteReadError: the other side is gone.
        ValueError: it isn't one of ours, or too large.
    """
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    if length > FRAME_BYTES_MAX:
        raise ValueError(f"a frame of {length} bytes")
    return msgpack.decode(await reader.readexactly(length))


def frame(content: object) -> bytes:
    """One frame."""
    body = msgpack.encode(content)
    return LENGTH.pack(len(body)) + body


def rows_of(offsets: Mapping[Key, int]) -> list[tuple[str, int, int]]:
    """Offsets by partition as they travel."""
    return [(*key, offset) for key, offset in offsets.items()]


def offsets_of(rows: list[tuple[str, int, int]]) -> dict[Key, int]:
    """Read back what `rows_of` made."""
    return {(stream, partition): offset for stream, partition, offset in rows}


class SocketPath:
    """The path of a data directory's socket, short enough for the system's limit.

    Use it as a context: a long path is reached through the directory's descriptor.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._descriptor = -1

    def __enter__(self) -> str:
        path = self._data_dir / SOCKET_NAME
        if len(os.fsencode(path)) <= PATH_BYTES_MAX:
            return str(path)
        self._descriptor = os.open(self._data_dir, os.O_RDONLY)
        return f"/proc/self/fd/{self._descriptor}/{SOCKET_NAME}"

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def connected(data_dir: Path) -> socket.socket:
    """A socket to whoever writes a data directory.

    Raises:
        OSError: nobody listens there, or this user may not.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with SocketPath(data_dir) as path:
            connection.connect(path)
    except OSError:
        connection.close()
        raise
    connection.setblocking(False)  # noqa: FBT003 - the name of the argument is the standard library's
    return connection
