"""The device services of a gateway on a log on disk, with the socket that commands talk to."""

from __future__ import annotations

import asyncio
import contextlib

from typer.testing import CliRunner

from gateway.cli.devices import app
from gateway.clock import SystemClock
from gateway.pipeline.devices.desk import DeviceDesk
from gateway.store import DeskHost, GroupDesk, StoreOptions, open_store
from tests.harness.device_services import Bench


def run(data_dir, *arguments, exit_code=0):
    """Run `penstock devices` with these arguments; returns what it prints."""
    result = CliRunner().invoke(app, [*map(str, arguments), "--data", str(data_dir)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result.stdout


@contextlib.asynccontextmanager
async def services_on(data_dir):
    """The services at work; gives the bench on which they stand."""
    store = await open_store(StoreOptions(data_dir), SystemClock())
    bench = await Bench(store, SystemClock()).open()
    services = DeviceDesk(bench.around)
    host = DeskHost(store, SystemClock(), GroupDesk(store, SystemClock()), data_dir)
    host.is_lasting = True
    host.requests |= services.requests
    await host.start()
    tasks = services.start()
    try:
        yield bench
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await host.stop()
        await store.close()


async def beside_a_gateway(data_dir, *commands):
    """Run commands while the services work on a log; returns what they print."""
    async with services_on(data_dir):
        return [await asyncio.to_thread(run, data_dir, *own) for own in commands]
