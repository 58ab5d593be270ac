"""A connected client as a reader of the log: at the tail, or catching up with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.session import Delivery, Session, SessionState

Slot = tuple[str, int]


class Subscriber:
    """One client's place in the log and what is being sent to it.

    At the tail (`is_live`), the fan-out pushes to it. When its window or its socket is full it
    leaves the tail: `positions` then says where it stands, and its own task reads the log from
    there until it has reached the tail again.
    """

    def __init__(self, session: Session, write: Callable[[bytes], None]) -> None:
        self.client_id = session.client_id
        self.state: SessionState = session.state
        self.delivery = Delivery(
            session.state, session.version, session.in_flight_max, session.packet_bytes_max
        )
        self.is_live = True
        self.is_clogged = False
        self.positions: dict[Slot, int] = {}
        self.catching_up: asyncio.Task[None] | None = None
        self._write = write
        self._room = asyncio.Event()

    def flush(self) -> None:
        """Write everything that waits in the outbox, at once."""
        outbox = self.delivery.outbox
        if outbox:
            self.delivery.outbox = []
            self._write(b"".join(outbox))

    def clog(self) -> None:
        """The socket takes no more."""
        self.is_clogged = True

    def unclog(self) -> None:
        """The socket takes bytes again."""
        self.is_clogged = False
        self._room.set()

    def resume(self) -> None:
        """The client acknowledged something."""
        self._room.set()

    async def wait_for_room(self) -> None:
        """Return when the window and the socket can take another message."""
        while self.is_clogged or not self.delivery.has_room:
            self._room.clear()
            await self._room.wait()

    def leave(self) -> None:
        """Stop catching up; the connection is over."""
        if self.catching_up is not None:
            self.catching_up.cancel()
            self.catching_up = None
