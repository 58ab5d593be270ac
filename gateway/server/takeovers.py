"""Newcomers whose identifier is fought over: one waits, and no more than one.

Letting it wait instead of sending it away keeps a device that only has a bad line from being locked
out, and still bounds how often a fight changes hands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.clock import Clock
from gateway.mqtt import ReasonCode
from gateway.server.connection import Connection
from gateway.server.flapping import Flapping, Party
from gateway.server.options import FlappingOptions
from gateway.session import ConnectRefused, Opened, OpenState, Phase

MS_PER_S = 1_000

Admit = Callable[[Connection, OpenState], Opened | ConnectRefused]
Refuse = Callable[[ReasonCode, str], ConnectRefused]


class Takeovers:
    """The takeovers of all clients, and the newcomers that wait for theirs."""

    def __init__(
        self, options: FlappingOptions, clock: Clock, admit: Admit, refuse: Refuse
    ) -> None:
        self._refuse = refuse
        self.flapping = Flapping(options)
        self._delay_s = options.delay_ms / MS_PER_S
        self._clock = clock
        self._admit = admit
        self._timers: dict[Connection, asyncio.TimerHandle] = {}
        self._waiting: dict[str, Connection] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def note(self, client_id: str, loser: Connection, winner: Connection) -> None:
        """A connection takes over from another."""
        sides = Party(loser.host, loser.peer), Party(winner.host, winner.peer)
        self.flapping.note(client_id, *sides, self._clock.monotonic_ms())

    def is_contested(self, client_id: str) -> bool:
        """Whether a newcomer must wait."""
        return self.flapping.is_contested(client_id, self._clock.monotonic_ms())

    def let_wait(self, connection: Connection, wish: OpenState) -> ConnectRefused | None:
        """Let a newcomer wait for its turn, unless another one does."""
        if wish.client_id in self._waiting:
            reason = "other clients fight over this identifier"
            return self._refuse(ReasonCode.QUOTA_EXCEEDED, reason)
        self._waiting[wish.client_id] = connection
        loop = asyncio.get_running_loop()
        self._timers[connection] = loop.call_later(self._delay_s, self._let_in, connection, wish)
        return None

    def _let_in(self, connection: Connection, wish: OpenState) -> None:
        del self._waiting[wish.client_id]
        del self._timers[connection]
        if connection.session.phase is Phase.OPENING:
            connection.answer(self._admit(connection, wish))

    def forget(self, connection: Connection) -> None:
        """A connection is gone; if it waited, nobody does."""
        timer = self._timers.pop(connection, None)
        if timer is not None:
            timer.cancel()
            self._waiting = {
                client_id: one for client_id, one in self._waiting.items() if one is not connection
            }

    def sweep(self) -> None:
        """Look whose fight is over; called about once a second."""
        self.flapping.sweep(self._clock.monotonic_ms())
