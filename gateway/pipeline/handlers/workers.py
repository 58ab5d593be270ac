"""One worker process from the gateway's side: started, given an event, killed when it's time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import msgpack

import gateway
from gateway.errors import PenstockError
from gateway.functions import FRAME_BYTES_MAX, FunctionSpec, encode_frame

MODULE = "gateway.functions.worker"
START_S_MAX = 30.0
END_S_MAX = 1.0
LENGTH = struct.Struct("<I")
SOURCES = str(Path(gateway.__file__).parent.parent)


class FunctionBroken(PenstockError):
    """A function can't be loaded; nothing was tried. The text is the traceback."""


class FunctionFailed(PenstockError):
    """A function failed for an event; the text is the traceback, or what ended it."""


class Answer(NamedTuple):
    """What a function has returned, and which version of it that was."""

    rows: list[tuple[str, bytes, bool, int]]
    version: str


class Worker:
    """A process with one function loaded, that has at most one event at a time."""

    def __init__(
        self,
        spec: FunctionSpec,
        child: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.version = ""
        self._spec = spec
        self._child = child
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, spec: FunctionSpec) -> Worker:
        """Start a process and have it load the function.

        Raises:
            FunctionBroken: it can't; says why.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                child = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", MODULE, str(theirs.fileno())),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                    env={**os.environ, "PYTHONPATH": python_path()},
                )
            except OSError as error:
                ours.close()
                raise FunctionBroken(f"no process can be started: {error.strerror}") from error
        worker = cls(spec, child, *await asyncio.open_unix_connection(sock=ours))
        is_loaded = False
        try:
            await worker._load()
            is_loaded = True
        finally:
            if not is_loaded:
                await worker.kill()
        return worker

    async def call(self, content: dict[str, Any]) -> Answer:
        """Give an event to the function and wait for what comes of it.

        Raises:
            FunctionFailed: it failed, took too long or its process ended; then it `has_ended`.
        """
        limit_ms = self._spec.time_limit_ms
        try:
            async with asyncio.timeout(limit_ms / 1_000):
                self._writer.write(encode_frame(content))
                is_good, result = await self._receive()
        except TimeoutError:
            await self.kill()
            raise FunctionFailed(f"killed: it took longer than {limit_ms / 1000:g} s") from None
        except (asyncio.IncompleteReadError, OSError, ValueError, TypeError):
            await self.end()
            raise FunctionFailed(self._ending()) from None
        if not is_good:
            raise FunctionFailed(result)
        return Answer([tuple(row) for row in result], self.version)

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._child.returncode is not None

    async def kill(self) -> None:
        """End the process and whatever it has started, at once."""
        self._writer.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        await self._child.wait()

    async def end(self) -> None:
        """Give a process that has hung up a moment to end by itself, and then kill it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S_MAX):
                await self._child.wait()
        await self.kill()

    async def _load(self) -> None:
        spec = self._spec
        opening = {
            "call": spec.call,
            "folder": str(spec.folder.resolve()),
            "memory_bytes_max": spec.memory_bytes_max,
            "time_limit_ms": spec.time_limit_ms,
        }
        self._writer.write(encode_frame(opening))
        try:
            async with asyncio.timeout(START_S_MAX):
                is_good, result = await self._receive()
        except TimeoutError:
            raise FunctionBroken(f"importing it took longer than {START_S_MAX:g} s") from None
        except (asyncio.IncompleteReadError, OSError, ValueError, TypeError):
            await self.end()
            raise FunctionBroken(self._ending()) from None
        if not is_good:
            raise FunctionBroken(result)
        self.version = result

    async def _receive(self) -> Any:
        (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
        if length > FRAME_BYTES_MAX:
            raise ValueError(f"a frame of {length} bytes")
        return msgpack.decode(await self._reader.readexactly(length))

    def _ending(self) -> str:
        """How the process has ended, for people."""
        code = self._child.returncode or 0
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        return f"its process ended by itself with exit code {code}"


def python_path() -> str:
    """Where workers find our own modules, and what they would have found anyway."""
    return os.pathsep.join(filter(None, [SOURCES, os.environ.get("PYTHONPATH", "")]))
