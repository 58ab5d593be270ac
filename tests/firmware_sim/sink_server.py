"""A sink behind a real socket, in the process of the test, that can drop its connections."""

from __future__ import annotations

import asyncio
import contextlib

from firmware_sim.sink import Sink
from firmware_sim.switchboard import RunClock
from gateway.clock import SystemClock
from gateway.errors import MqttError


class _Link(asyncio.Protocol):
    def __init__(self, server):
        self._server = server

    def connection_made(self, transport):
        self.transport = transport
        self._server.links.add(self)
        self._connection = self._server.sink.connect(transport.write)

    def data_received(self, arrived):
        try:
            self._connection.received(arrived)
        except MqttError:
            self.transport.abort()
        self._server.after_arrival()

    def connection_lost(self, _):
        self._connection.close()
        self._server.links.discard(self)


class SinkServer:
    """Listens on a loopback port of its own, which it keeps over its deaths."""

    def __init__(self, sink=None):
        self.sink = sink or Sink()
        self.links = set()
        self.port = 0
        self.dies_after = None
        """How many publishes are taken before it dies, once, and comes back at once."""
        self.deaths = 0
        self._server = None

    async def __aenter__(self):
        await self._listen()
        return self

    async def __aexit__(self, *_):
        await self._stop()

    async def _listen(self):
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Link(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self):
        self._server.close()
        self.drop_all()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self._server.wait_closed()

    def drop_all(self):
        """Break every connection without a word."""
        for link in list(self.links):
            link.transport.abort()

    def after_arrival(self):
        if self.dies_after is not None and len(self.sink.taken) >= self.dies_after:
            self.dies_after = None
            self.deaths += 1
            self.drop_all()


def system_clock():
    return RunClock(SystemClock())
