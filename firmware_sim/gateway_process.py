"""The gateway and the readers of its log as child processes, for the demo.

They are started as a user would start them; what they print is all that is known of them.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson

from firmware_sim.connecting import wait_until
from firmware_sim.failures import SimulationFailed
from firmware_sim.log_reader import LINE_BYTES_MAX, PENSTOCK, read_arguments

LISTENING = re.compile(r"listening on (?P<host>\S+):(?P<port>[0-9]+)")
START_S_MAX = 20.0
STOP_S_MAX = 20.0
LAST_LINES_MAX = 20


class GatewayProcess:
    """A gateway on a free loopback port, from its start to its clean stop."""

    def __init__(self, data_dir: Path, rules: Path | None) -> None:
        self.data_dir = data_dir
        self.host = "127.0.0.1"
        self.port = 0
        self.rules = rules
        self._child: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES_MAX)
        self._is_listening = False

    async def start(self) -> None:
        """Return when the gateway says that it listens.

        Raises:
            SimulationFailed: it ended, or took too long; carries what it said last.
        """
        rules = [] if self.rules is None else ["--rules", str(self.rules)]
        command = [*PENSTOCK, "serve", "--data", str(self.data_dir)]
        child = await asyncio.create_subprocess_exec(
            *command, "--host", self.host, "--port", "0", *rules,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=LINE_BYTES_MAX,
            # A Ctrl-C is ours to pass on: it must not stop the gateway before its devices.
            start_new_session=True,
        )  # fmt: skip
        self._child = child
        self._reader = asyncio.create_task(self._read(child))
        await wait_until(lambda: self._is_listening or child.returncode is not None, START_S_MAX)
        if not self._is_listening:
            await self.kill()
            await self._reader
            raise SimulationFailed(f"the gateway did not start: {self.last_words()}")

    def last_words(self) -> str:
        """The last line that the gateway printed."""
        return self._last_lines[-1] if self._last_lines else "it printed nothing"

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.returncode is None

    async def stop(self) -> int:
        """Ask it to stop, and return its exit status; a gateway that does not stop is killed."""
        if self._child is None or self._reader is None:
            return 0
        if self._child.returncode is None:
            self._child.terminate()
        try:
            async with asyncio.timeout(STOP_S_MAX):
                await self._child.wait()
        except TimeoutError:
            await self.kill()
        # An interrupt cancels every task, the reader too; that must not keep us from the rest.
        await asyncio.wait({self._reader})
        return self._child.returncode if self._child.returncode is not None else -1

    async def kill(self) -> None:
        """End it now, whatever it is doing."""
        if self._child is not None and self._child.returncode is None:
            self._child.kill()
            await self._child.wait()

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        """Keep the pipe empty, and note where the gateway listens."""
        assert child.stdout is not None  # noqa: S101 - it is a pipe
        async for encoded in child.stdout:
            line = encoded.decode(errors="replace").rstrip()
            self._last_lines.append(line)
            match = LISTENING.search(line)
            if match and not self._is_listening:
                self.host, self.port = match["host"].strip("[]"), int(match["port"])
                self._is_listening = True


class Follower:
    """`penstock streams read --follow` as a child: passes on every record as it is committed."""

    def __init__(
        self, stream: str, data_dir: Path, deliver: Callable[[dict[str, Any]], None]
    ) -> None:
        self._stream = stream
        self._data_dir = data_dir
        self._deliver = deliver
        self._child: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self, start: str) -> None:
        """Begin to follow the stream at `start`."""
        self._child = await asyncio.create_subprocess_exec(
            *read_arguments(self._stream, self._data_dir, start, "--follow"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=LINE_BYTES_MAX,
            start_new_session=True,
        )
        self._reader = asyncio.create_task(self._read(self._child))

    async def stop(self) -> None:
        """Follow no more."""
        if self._child is None or self._reader is None:
            return
        if self._child.returncode is None:
            self._child.terminate()
        await self._child.wait()
        await asyncio.wait({self._reader})

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None  # noqa: S101 - it is a pipe
        async for line in child.stdout:
            self._deliver(orjson.loads(line))


def shipped_rules() -> Path | None:
    """Where the rules of the program are: in the package, or beside it in a checkout."""
    package = Path(str(files("gateway")))
    for folder in (package / "starter" / "rules", package.parent / "rules"):
        if any(folder.glob("*.yaml")):
            return folder
    return None
