"""Brings the sans-IO machines of the simulator onto the virtual loop and the network in memory."""

from __future__ import annotations

import asyncio
from typing import Any

from firmware_sim.effects import Dial, HangUp, Send
from firmware_sim.switchboard import Actor
from tests.simulation.network import End, Network
from tests.simulation.virtual_loop import VirtualClock

PORT = 1883


class Player(asyncio.Protocol):
    """Plays one machine: calls it when it is due, and does what it asks for."""

    def __init__(self, actor: Actor, network: Network, clock: VirtualClock, start_ms: int) -> None:
        self.actor = actor
        self._network = network
        self._clock = clock
        self._start_ms = start_ms
        self._end: End | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.schedule()

    def now_ms(self) -> int:
        """Time that never steps: a device has a clock of its own."""
        return self._start_ms + self._clock.monotonic_ms()

    def schedule(self) -> None:
        """See that the machine is called when it wants to be."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_ms = self.actor.next_due_ms
        if due_ms is not None:
            wait_s = max(0, due_ms - self.now_ms()) / 1_000
            self._timer = self._network.loop.call_later(wait_s, self._wake)

    def command(self, effects: list[Any]) -> None:
        """Do what the machine has asked for."""
        for effect in effects:
            match effect:
                case Send(payload):
                    if self._end is not None:
                        self._end.write(payload)
                case Dial():
                    self._network.loop.call_soon(self._dial)
                case HangUp(is_abrupt):
                    self._hang_up(is_abrupt=is_abrupt)
        self.schedule()

    def _wake(self) -> None:
        self._timer = None
        self.command(self.actor.advance(self.now_ms()))

    def _dial(self) -> None:
        if self._end is not None:
            return
        # The server's side speaks first at the earliest when the bytes of this side are there.
        self._end = self._network.connect(Side(self), PORT)
        if self._end is None:
            self.actor.lost(self.now_ms(), "nobody listens")
            self.schedule()
        else:
            self.command(self.actor.opened(self.now_ms()))

    def _hang_up(self, *, is_abrupt: bool) -> None:
        end, self._end = self._end, None
        if end is not None:
            end.abort() if is_abrupt else end.close()

    def heard(self, side: Side, data: bytes) -> None:
        if self._end is not None and self._end.protocol is side:
            self.command(self.actor.received(data, self.now_ms()))

    def lost(self, side: Side, why: str) -> None:
        if self._end is not None and self._end.protocol is side:
            self._end = None
            self.actor.lost(self.now_ms(), why)
            self.schedule()


class Side(asyncio.Protocol):
    """One connection of a player."""

    def __init__(self, player: Player) -> None:
        self._player = player

    def data_received(self, data: bytes) -> None:
        self._player.heard(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._player.lost(self, str(exc or "closed"))
