"""Updates over the air at work on a log on disk, with the socket that commands talk to."""

from __future__ import annotations

import asyncio
import contextlib

from gateway.clock import SystemClock
from gateway.pipeline import OtaDesk
from gateway.store import BlobStore, DeskHost, GroupDesk, StoreOptions, open_store
from tests.harness.device_services import Bench
from tests.harness.service_desk import run


@contextlib.asynccontextmanager
async def updates_on(data_dir):
    """The service at work; gives the bench on which it stands."""
    clock = SystemClock()
    store = await open_store(StoreOptions(data_dir), clock)
    bench = await Bench(store, clock).open()
    desk = OtaDesk(bench.around, BlobStore(data_dir, clock), lambda topic, payload: None)
    host = DeskHost(store, clock, GroupDesk(store, clock), data_dir)
    host.is_lasting = True
    host.requests |= desk.requests
    await host.start()
    task = desk.start()
    try:
        yield bench
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await host.stop()
        await store.close()


async def command(data_dir, *arguments):
    """Run `penstock devices ota` with these arguments; returns what it prints."""
    return await asyncio.to_thread(run, data_dir, "ota", *arguments)
