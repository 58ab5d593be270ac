"""The process that one function runs in: it loads it, says so, and takes one event at a time.

It is started by the gateway as `python -m gateway.functions.worker DESCRIPTOR`, with a socket under
that number, and ends when the gateway does. What a function prints goes where the gateway's errors
go.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from gateway.functions.calling import (
    Complete,
    FunctionNotFound,
    Loaded,
    call_function,
    event_of,
    load_function,
    trace_of,
)
from gateway.functions.events import Event
from gateway.functions.frames import encode_frame, receive_frame

ORPHAN_FACTOR = 2
MS_PER_S = 1_000


class Loop:
    """An event loop for functions that are async; the others never load one."""

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        self._run: Complete | None = None

    def __enter__(self) -> Loop:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end, on the same loop as those before it."""
        if self._run is None:
            import asyncio

            self._run = self._open.enter_context(asyncio.Runner()).run
        return self._run(coroutine)


def main(descriptor: int) -> None:
    """Serve the gateway at the other end of the socket until it is gone."""
    # Ctrl-C reaches the gateway, which lets its workers finish.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a function prints must not mix with what the gateway prints for programs.
    os.dup2(2, 1)
    with socket.socket(fileno=descriptor) as connection, Loop() as loop:
        opening = receive_frame(connection)
        if opening is not None:
            serve(connection, loop.run, opening)


def serve(connection: socket.socket, run: Complete, opening: dict[str, Any]) -> None:
    """Load the function that `opening` names, then answer each event with what comes of it."""
    limit_memory(opening["memory_bytes_max"])
    try:
        loaded = load_function(opening["call"], Path(opening["folder"]))
    except FunctionNotFound as error:
        connection.sendall(encode_frame([False, str(error)]))
        return
    connection.sendall(encode_frame([True, loaded.version]))
    while (content := receive_frame(connection)) is not None:
        # The gateway kills who takes too long; this one is for when the gateway was killed first.
        seconds = ORPHAN_FACTOR * opening["time_limit_ms"] / MS_PER_S
        signal.setitimer(signal.ITIMER_REAL, seconds)
        answer = answer_to(loaded, event_of(content), run)
        signal.setitimer(signal.ITIMER_REAL, 0)
        connection.sendall(answer)


def answer_to(loaded: Loaded, event: Event, run: Complete) -> bytes:
    """Call the function; returns the frame that tells what it returned or why it failed."""
    try:
        return encode_frame([True, call_function(loaded, event, run)])
    except BaseException as error:  # noqa: BLE001 - a person's function may raise anything at all
        return encode_frame([False, trace_of(error)])


def limit_memory(bytes_max: int) -> None:
    """Let this process have so much memory and no more; 0 sets no limit."""
    if bytes_max:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (bytes_max, bytes_max))


if __name__ == "__main__":
    main(int(sys.argv[1]))
