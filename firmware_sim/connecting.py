"""Where a run connects to and as whom, and the checks before a fleet is let loose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from firmware_sim.failures import ServerAbsent, ServerRefused
from firmware_sim.greeter import Greeter
from firmware_sim.line import LineOptions
from firmware_sim.switchboard import Actor, RunClock, Switchboard
from gateway.mqtt import ProtocolVersion

POLL_S = 0.02
GREETING_MS = 10_000


@dataclass(frozen=True, slots=True)
class Target:
    """The server, and the credentials for it; `{device}` in them stands for each device's name.

    A device that has its own key in `keys` shows that, under its own name.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    version: ProtocolVersion = ProtocolVersion.V3_1_1
    username: str | None = None
    password: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict)

    def client_id_for(self, name: str) -> str:
        """How a client calls itself that is no device: where devices have keys, by its user."""
        return f"{self.username}/{name}" if self.keys and self.username else name

    def line_options(self, client_id: str, *, clean_start: bool = False) -> LineOptions:
        """How the client `client_id` connects here, patience at its defaults."""
        username, password = self._filled(self.username, client_id), self.password
        filled = self._filled(password, client_id)
        if client_id in self.keys:
            username, filled = client_id, self.keys[client_id]
        return LineOptions(
            client_id=client_id,
            version=self.version,
            clean_start=clean_start,
            username=username,
            password=None if filled is None else filled.encode(),
        )

    @staticmethod
    def _filled(template: str | None, client_id: str) -> str | None:
        return None if template is None else template.replace("{device}", client_id)


async def wait_until(is_true: Callable[[], bool], timeout_s: float) -> bool:
    """Wait for a condition, and say whether it came true in time."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + timeout_s
    while not is_true():
        if loop.time() >= deadline_s:
            return is_true()
        await asyncio.sleep(POLL_S)
    return True


async def greet(target: Target, client_id: str, clock: RunClock) -> None:
    """Connect once as `client_id`, with a session that leaves nothing behind.

    Raises:
        ServerAbsent: nothing answers there, or it does not speak MQTT.
        ServerRefused: it answers, and refuses these credentials.
    """
    options = target.line_options(client_id, clean_start=True)
    greeter = Greeter(options)
    greeter.line.wake(clock.now_ms())
    board: Switchboard[Actor] = Switchboard([greeter], target.host, target.port, clock)
    board.start()
    try:
        await wait_until(lambda: greeter.is_done, GREETING_MS / 1_000)
    finally:
        await board.stop()
    line = greeter.line
    if line.refusals:
        why = line.latest_error.removeprefix("refused: ")
        raise ServerRefused(target.host, target.port, client_id, why)
    if not line.connects:
        raise ServerAbsent(target.host, target.port, line.latest_error or "no answer")
