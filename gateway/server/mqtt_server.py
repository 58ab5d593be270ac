"""The MQTT server: listeners, the fan-out loop and the sweep, started and stopped together."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence

from gateway.clock import Clock
from gateway.errors import PenstockError
from gateway.routing import RetainedMessages, Router
from gateway.server.connection import Connection
from gateway.server.fanout import Fanout
from gateway.server.hub import Hub
from gateway.server.ingest import Ingest
from gateway.server.options import ListenerOptions, ServerOptions
from gateway.server.retaining import load_retained
from gateway.store import StreamStore

SWEEP_S = 1.0


class AddressUnavailable(PenstockError):
    """A listener's address can't be bound."""


class MqttServer:
    """Everything between the network and the log."""

    def __init__(
        self,
        options: ServerOptions,
        store: StreamStore,
        router: Router,
        clock: Clock,
        slots: Sequence[tuple[str, int]],
    ) -> None:
        self._options = options
        self._store = store
        retained = self.retained = RetainedMessages(options.retained)
        self.ingest = Ingest(
            store,
            router,
            clock,
            retained,
            options,
        )
        self.fanout = Fanout(store, slots, clock, retained)
        self.hub = Hub(options, clock, self.ingest, self.fanout)
        self._listeners: list[asyncio.Server] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> list[tuple[str, int]]:
        """Begin to listen; returns the bound addresses.

        Raises:
            AddressUnavailable: a port is in use, or an address is not this machine's.
        """
        await load_retained(self._store, self.retained)
        await self.fanout.start()
        await self.hub.load(self._store)
        now_ms = self.hub.clock.now_ms()
        await self.ingest.repeats.load(self._store, self.fanout.slots, now_ms)
        self._tasks = [
            asyncio.create_task(self.fanout.run(), name="fan-out"),
            asyncio.create_task(self._sweep(), name="sweep"),
        ]
        return [await self._listen(listener) for listener in self._options.listeners]

    async def _listen(self, listener: ListenerOptions) -> tuple[str, int]:
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                lambda: Connection(self.hub),
                listener.host,
                listener.port,
                backlog=self._options.backlog,
            )
        except OSError as error:
            reason = (
                "the port is in use; choose another with --port, or stop what listens there"
                if error.errno == errno.EADDRINUSE
                else (error.strerror or str(error))
            )
            raise AddressUnavailable(
                f"can't listen on {listener.host}:{listener.port}: {reason}"
            ) from error
        self._listeners.append(server)
        host, port = server.sockets[0].getsockname()[:2]
        return host, port

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.hub.sweep()

    @property
    def tasks(self) -> Sequence[asyncio.Task[None]]:
        """The loops that run while the server does."""
        return self._tasks

    async def stop(self) -> None:
        """Stop listening, acknowledge what was taken, send the clients away, settle their wills."""
        for server in self._listeners:
            server.close()
        self.hub.pause()
        await self.ingest.drain()
        self.hub.stop()
        await self.ingest.drain()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
