"""A network in memory: bytes take their time, arrive in pieces, and break off."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from typing import Any

from tests.simulation.virtual_loop import VirtualLoop

LATENCY_S = (0.000_1, 0.004)
PIECES_MAX = 3
APART_S = 1e-6


class End(asyncio.Transport):
    """One end of a connection; the other end is `peer`."""

    def __init__(self, network: Network, protocol: asyncio.Protocol, number: int) -> None:
        super().__init__({"peername": ("127.0.0.1", number)})
        self._network = network
        self.protocol: asyncio.BaseProtocol = protocol
        self.peer: End
        self.is_open = True
        self._is_reading = True
        self._arrived: list[bytes] = []
        self._due_s = 0.0

    def write(self, data: Any) -> None:
        if self.is_open and data:
            self._network.carry(self, bytes(data))

    def writelines(self, chunks: Any) -> None:
        self.write(b"".join(chunks))

    def close(self) -> None:
        """Say goodbye: what was written before arrives before it."""
        if self.is_open:
            self.is_open = False
            self._network.carry(self, None)
            self._network.loop.call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        """Break off; the other end hears of it, and of nothing that is still on its way."""
        if self.is_open:
            self.is_open = False
            self._network.loop.call_soon(self.protocol.connection_lost, None)
            self.peer.break_off()

    def break_off(self) -> None:
        """The other end is gone."""
        if self.is_open:
            self.is_open = False
            self._arrived.clear()
            self._network.loop.call_soon(
                self.protocol.connection_lost, ConnectionResetError("reset")
            )

    def receive(self, data: bytes | None) -> None:
        if not self.is_open:
            return
        if data is None:
            self.is_open = False
            self._network.loop.call_soon(self.protocol.connection_lost, None)
        elif self._is_reading and not self._arrived:
            self.protocol.data_received(data)  # type: ignore[attr-defined]
        else:
            self._arrived.append(data)

    def pause_reading(self) -> None:
        self._is_reading = False

    def resume_reading(self) -> None:
        self._is_reading = True
        self._network.loop.call_soon(self._catch_up)

    def _catch_up(self) -> None:
        while self._arrived and self._is_reading and self.is_open:
            self.protocol.data_received(self._arrived.pop(0))  # type: ignore[attr-defined]

    def is_reading(self) -> bool:
        return self._is_reading

    def is_closing(self) -> bool:
        return not self.is_open

    def can_write_eof(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol


class Network:
    """Connects clients to whoever listens."""

    def __init__(self, loop: VirtualLoop, chance: random.Random) -> None:
        self.loop = loop
        self._chance = chance
        self._ends: list[End] = []
        self._count = 0
        self.is_up = True

    def connect(self, client: asyncio.Protocol, port: int) -> End | None:
        """Make a connection; None when nobody listens or there is no network."""
        factory = self.loop.factories.get(port)
        if factory is None or not self.is_up:
            return None
        self._count += 1
        server = factory()
        near, far = End(self, client, self._count), End(self, server, self._count)
        near.peer, far.peer = far, near
        self._ends += (near, far)
        server.connection_made(far)
        return near

    def carry(self, sender: End, data: bytes | None) -> None:
        """Bring bytes to the other end, in order, in pieces, some time later."""
        for piece in self._pieces(data):
            latency_s = self._chance.uniform(*LATENCY_S)
            # Timers of one moment have no order among themselves.
            sender._due_s = max(sender._due_s + APART_S, self.loop.now_s + latency_s)
            self.loop.call_at(sender._due_s, sender.peer.receive, piece)

    def _pieces(self, data: bytes | None) -> list[bytes | None]:
        if data is None or len(data) < PIECES_MAX or self._chance.random() < 0.8:
            return [data]
        cuts = sorted(self._chance.sample(range(1, len(data)), PIECES_MAX - 1))
        edges = [0, *cuts, len(data)]
        return [data[start:end] for start, end in pairwise(edges)]

    def break_some(self, share: float) -> None:
        """Cut a share of the connections."""
        for end in self._living():
            if self._chance.random() < share:
                end.abort()

    def break_all(self) -> None:
        """Cut every connection, as when a machine dies."""
        for end in self._living():
            end.abort()

    def _living(self) -> list[End]:
        self._ends = [end for end in self._ends if end.is_open]
        return list(self._ends)
