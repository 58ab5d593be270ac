"""The MQTT server: listeners, the fan-out loop and the sweep, started and stopped together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from gateway.clock import Clock
from gateway.errors import UnknownStream
from gateway.events import Flag, Run
from gateway.routing import RetainedMessages, Router, TopicRefused
from gateway.server.claims import Claims
from gateway.server.connection import Connection
from gateway.server.fanout import Fanout
from gateway.server.hub import Hub
from gateway.server.ingest import Ingest
from gateway.server.listeners.listeners import Listeners
from gateway.server.new_streams import watch_streams
from gateway.server.options import ServerOptions
from gateway.server.readings import Readings
from gateway.server.retaining import load_retained, retained_puts
from gateway.server.spilling import ClaimLimits, Spilling
from gateway.server.sys_tree import SysTree
from gateway.server.telling import tell
from gateway.store import BlobStore, Put, StreamSpec, StreamStore

SWEEP_S = 1.0


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
        self.listeners = Listeners(options, lambda: Connection(self.hub), clock)
        self.readings = Readings(self.hub, self.listeners, retained, clock)
        self.sys = SysTree(
            self.readings.take,
            self.fanout,
            self.hub.takeovers.flapping,
            clock,
            options.sys_interval_ms,
        )
        self.hub.sys = self.sys if options.sys_interval_ms else None
        self._tasks: list[asyncio.Task[None]] = []
        self.derived_spec_of: Callable[[str], StreamSpec] | None = None
        """What derived streams are like, where rules may bring them about at any time."""

    async def start(self) -> list[tuple[str, int]]:
        """Begin to listen; returns the bound addresses.

        Raises:
            AddressUnavailable: a port is in use, or an address is not this machine's.
            TlsFilesInvalid: a certificate or what belongs to it can't be used.
        """
        await load_retained(self._store, self.retained)
        await self.fanout.start()
        await self.hub.load(self._store)
        now_ms = self.hub.clock.now_ms()
        await self.ingest.repeats.load(self._store, self.fanout.tails.slots, now_ms)
        self._tasks = [
            asyncio.create_task(self.fanout.run(), name="fan-out"),
            asyncio.create_task(self._sweep(), name="sweep"),
        ]
        if self.derived_spec_of is not None:
            watching = watch_streams(self._store, self.fanout, self.derived_spec_of)
            self._tasks.append(asyncio.create_task(watching, name="new streams"))
        self.hub.gate.presence.restore(self.retained)
        self.readings.begin()
        if self._options.sys_interval_ms:
            self._tasks.append(asyncio.create_task(self.sys.run(), name="$SYS"))
        self.listeners.asks_who = not self.hub.gate.is_open
        addresses = await self.listeners.open()
        if self.listeners.tls_files:
            self._tasks.append(asyncio.create_task(self.listeners.watch(), name="certificates"))
        return addresses

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.hub.sweep()
            if self._options.sys_interval_ms:
                self.sys.tell_flapping()
            self.listeners.sweep()

    async def publish(self, topic: str, payload: bytes, client: str) -> None:
        """Publish at QoS 1 for a command of this machine's user; returns when it is durable.

        Raises:
            UnknownStream: no stream takes the topic.
        """
        try:
            route = self.ingest.router.route_of(topic)
        except TopicRefused as error:
            raise UnknownStream(str(error)) from error
        now_ms = self.hub.clock.now_ms()
        flags = bytes((Flag.QOS_1,))
        run = Run(route.stream, route.partition, client, now_ms, [route.origin], [payload], flags)
        durable = asyncio.Event()
        self.ingest.submit_own([run], durable.set)
        await durable.wait()

    def tell(self, topic: str, payload: bytes) -> None:
        """Say something at QoS 0 to whoever listens now; it is kept nowhere."""
        tell(self.fanout, topic, payload)

    def keep_large(self, blobs: BlobStore, limits: ClaimLimits) -> None:
        """Keep payloads beyond the limits beside the log, and deliver them from there."""
        ingest, refuse_after_ms = self.ingest, self._options.refuse_after_ms
        ingest.spilling = Spilling(blobs, limits, ingest.enqueue, ingest.refuse, refuse_after_ms)
        self.fanout.claims = Claims(blobs, self.hub.clock)

    def reload(self) -> None:
        """Read the files of the TLS listeners again, as SIGHUP asks; nobody is disconnected."""
        self.listeners.renew()

    def retained_puts(self, runs: Sequence[Run]) -> Sequence[Put]:
        """What a commit of derived records must change so that they are retained."""
        return retained_puts(runs, self.retained)

    @property
    def tasks(self) -> Sequence[asyncio.Task[None]]:
        """The loops that run while the server does."""
        return self._tasks

    async def stop(self) -> None:
        """Stop listening, acknowledge what was taken, send the clients away, settle their wills."""
        self.listeners.close()
        self.hub.pause()
        await self.ingest.drain()
        self.hub.stop()
        await self.ingest.drain()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.listeners.end()
