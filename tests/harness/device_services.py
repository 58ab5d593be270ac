"""A device service on a log in memory, with everything around it that a gateway has."""

from __future__ import annotations

import asyncio
import contextlib

import orjson

from gateway.clock import ManualClock
from gateway.config import DEVICE_STREAMS
from gateway.devices import SERVICE_TEMPLATES, DeviceTopics
from gateway.events import Flag, Origin, Run
from gateway.pipeline.devices.loop import Around, ServiceLoop
from gateway.routing import Router, StreamRoute
from gateway.store import Put, StreamSpec, partition_of
from gateway.store.memory import MemoryStore
from tests.harness.waiting import until

NOW_MS = 1_800_000_000_000


class Bench:
    """A log, its router, and who listens for which device."""

    def __init__(self, store=None, clock=None) -> None:
        self.store = store or MemoryStore()
        self.clock = clock or ManualClock(NOW_MS)
        self.heard: set[tuple[str, str]] = set()
        routes = [
            StreamRoute(own.spec.name, own.topic_filters, own.spec.partitions)
            for own in DEVICE_STREAMS
        ]
        routes.append(StreamRoute("others", ("#",), 1))
        self.router = Router(routes, DeviceTopics(SERVICE_TEMPLATES).device_of, partition_of)
        self.around = Around(
            self.store,
            self.router.route_of,
            retained_puts,
            self.clock,
            lambda root, device: (root, device) in self.heard,
        )

    async def open(self) -> Bench:
        for own in DEVICE_STREAMS:
            await self.store.ensure(own.spec)
        await self.store.ensure(StreamSpec("others", partitions=1))
        return self

    async def publish(self, topic, payload, client="someone", properties=b""):
        """What a client has published, as it comes into the log."""
        stream, partition, origin = self.router.route_of(topic)
        content = payload if isinstance(payload, bytes) else orjson.dumps(payload)
        now_ms, flags = self.clock.now_ms(), bytes((Flag.QOS_1,))
        run = Run(stream, partition, client, now_ms, [origin], [content], flags, [properties])
        await self.store.append([run])

    async def said(self, stream, *verbs):
        """What the gateway has said in a stream under these verbs: topic and decoded payload."""
        return [
            (record.topic, orjson.loads(record.payload or b"null"))
            for record in await self.records(stream)
            if record.client == "$gateway" and (not verbs or record.topic.split("/")[2] in verbs)
        ]

    async def records(self, stream):
        chunk = await self.store.fetch(stream, 0, 0)
        return [record for batch in chunk.batches for record in batch.records()]

    async def until_said(self, stream, count, *verbs):
        """Wait for so many messages under these verbs, and return them."""

        async def is_there():
            return len(await self.said(stream, *verbs)) >= count

        await until(is_there, f"{count} of {verbs} in {stream}")
        return await self.said(stream, *verbs)

    @contextlib.asynccontextmanager
    async def at_work(self, service):
        """The service at work on what the log holds."""
        loop = ServiceLoop(service, self.around)
        task = asyncio.create_task(loop.run())
        try:
            yield loop
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def retained_puts(runs):
    """The table of retained messages, as the server keeps it."""
    return [
        Put("retained", Origin(*origin).topic, payload or None)
        for run in runs
        for origin, payload, flags in zip(run.origins, run.payloads, run.flags, strict=True)
        if flags & Flag.RETAIN
    ]
