"""A server that the simulator starts itself, kills without mercy, and starts again.

Any MQTT server will do: the command is the user's, and whether it is up is found out by connecting.
"""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import dataclass

from firmware_sim.connecting import wait_until
from firmware_sim.failures import SimulationFailed

START_S_MAX = 30.0
STOP_S_MAX = 30.0
LISTENS_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """How to start a server, where it then listens, and how often to kill it; 0 is never."""

    command: str
    host: str
    port: int
    kill_every_ms: int = 0


class ServerChild:
    """One server process after the other, on the same port."""

    def __init__(self, plan: ServerPlan) -> None:
        """Take the plan.

        Raises:
            SimulationFailed: the command can't be read.
        """
        self._plan = plan
        try:
            self._arguments = shlex.split(plan.command)
        except ValueError as error:
            raise SimulationFailed(f"--server: '{plan.command}' can't be read: {error}") from error
        if not self._arguments:
            raise SimulationFailed("--server: needs a command, such as 'penstock serve'")
        self._child: asyncio.subprocess.Process | None = None
        self._answers = False
        self.kills = 0
        self.exit_status = 0

    async def start(self) -> None:
        """Return when the server accepts connections.

        Raises:
            SimulationFailed: something listens there already, or the server did not start.
        """
        if await self._listens():
            raise SimulationFailed(
                f"--server: something listens on {self._plan.host}:{self._plan.port} already"
            )
        try:
            child = await asyncio.create_subprocess_exec(
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                # A Ctrl-C is ours to pass on: it must not stop the server before its devices.
                start_new_session=True,
            )
        except OSError as error:
            raise SimulationFailed(f"--server: {self._arguments[0]}: {error.strerror}") from error
        self._child = child
        async with asyncio.TaskGroup() as group:
            trying = group.create_task(self._try_until_it_listens())
            await wait_until(lambda: trying.done() or child.returncode is not None, START_S_MAX)
            trying.cancel()
        if not self._answers:
            await self.kill()
            raise SimulationFailed(
                f"--server: '{self._plan.command}' does not listen on "
                f"{self._plan.host}:{self._plan.port}"
            )

    async def _try_until_it_listens(self) -> None:
        self._answers = False
        while not self._answers:
            self._answers = await self._listens()
            await asyncio.sleep(0 if self._answers else 0.05)

    async def _listens(self) -> bool:
        try:
            async with asyncio.timeout(LISTENS_WITHIN_S):
                _, writer = await asyncio.open_connection(self._plan.host, self._plan.port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    async def keep_killing(self, for_ms: int) -> None:
        """Kill it every so often, for so long, and start it again each time.

        Raises:
            SimulationFailed: it did not come back.
        """
        every_ms = self._plan.kill_every_ms
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for number in range(max(0, for_ms - 1) // every_ms if every_ms else 0):
            due_s = start_s + (number + 1) * every_ms / 1_000
            await asyncio.sleep(max(0, due_s - loop.time()))
            await self.kill()
            self.kills += 1
            await self.start()

    async def kill(self) -> None:
        """End it now, whatever it is doing."""
        if self._child is not None and self._child.returncode is None:
            self._child.kill()
            await self._child.wait()

    async def stop(self) -> None:
        """Ask it to stop; a server that does not is killed."""
        if self._child is None:
            return
        if self._child.returncode is None:
            self._child.terminate()
        try:
            async with asyncio.timeout(STOP_S_MAX):
                await self._child.wait()
        except TimeoutError:
            await self.kill()
        self.exit_status = self._child.returncode or 0
