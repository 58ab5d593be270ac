"""A worker process as the gateway sees it: started, listened to, killed when it's time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

import gateway
from gateway.errors import PenstockError

END_S_MAX = 3.0
SOURCES = str(Path(gateway.__file__).parent.parent)


class WorkerFailed(PenstockError):
    """A worker process can't be started, or ended when it was needed."""


class Child:
    """A process of ours with a socket to it, in a session of its own."""

    def __init__(
        self,
        running: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._running = running
        self.reader = reader
        self.writer = writer

    @classmethod
    async def start(cls, module: str) -> Child:
        """Start `python -m MODULE DESCRIPTOR` with a socket under that number.

        Raises:
            WorkerFailed: the system refuses.
        """
        ours, theirs = socket.socketpair()
        path = os.pathsep.join(filter(None, [SOURCES, os.environ.get("PYTHONPATH", "")]))
        with theirs:
            try:
                running = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", module, str(theirs.fileno())),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                    env={**os.environ, "PYTHONPATH": path},
                )
            except OSError as error:
                ours.close()
                raise WorkerFailed(f"no process can be started: {error.strerror}") from error
        return cls(running, *await asyncio.open_unix_connection(sock=ours))

    @property
    def pid(self) -> int:
        return self._running.pid

    async def end(self) -> int:
        """Hang up, wait a moment for the process to end, then kill it; returns its exit code."""
        self.writer.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S_MAX):
                return await self._running.wait()
        return await self.kill()

    async def kill(self) -> int:
        """End the process at once; returns its exit code."""
        self.writer.close()
        with contextlib.suppress(ProcessLookupError):
            self._running.send_signal(signal.SIGKILL)
        return await self._running.wait()


def ending_of(exit_code: int) -> str:
    """In words, how a process has ended."""
    if exit_code < 0:
        with contextlib.suppress(ValueError):
            return f"it was killed by {signal.Signals(-exit_code).name}"
    return f"it ended with exit code {exit_code}"
