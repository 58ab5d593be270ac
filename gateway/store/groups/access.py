"""The way to a log's desk from any process: the writer's, or one's own where nobody writes.

A command that has become the writer gives way as soon as a gateway asks for the directory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from gateway.clock import Clock
from gateway.errors import StoreInUse, StoreUnavailable
from gateway.store.groups.changes import TableDesk
from gateway.store.groups.desk import GroupDesk
from gateway.store.groups.host import DeskHost
from gateway.store.groups.remote import RemoteDesk
from gateway.store.opening import open_store
from gateway.store.options import StoreOptions
from gateway.store.protocol import StreamStore

PATIENCE_S = 5.0
PAUSE_S = 0.1
Prepare = Callable[[StreamStore, TableDesk], Awaitable[None]]


class Access(NamedTuple):
    """A desk that can be reached; `yielding` is set when it is about to be given up."""

    desk: RemoteDesk
    yielding: asyncio.Event


@contextlib.asynccontextmanager
async def desk_of(
    data_dir: Path, clock: Clock, prepare: Prepare | None = None
) -> AsyncIterator[Access]:
    """Reach the desk of a data directory that holds a log, or open one on it.

    One that is opened here is first prepared as a gateway prepares its own.

    Raises:
        StoreInUse: somebody writes the log and can't be reached.
        StoreError: as `open_store` and `RemoteDesk.connect` say.
    """
    async with contextlib.AsyncExitStack() as stack:
        desk = await RemoteDesk.connect(data_dir)
        yielding = asyncio.Event()
        for _ in range(int(PATIENCE_S / PAUSE_S)):
            if desk is not None:
                break
            with contextlib.suppress(StoreInUse):
                host = await stack.enter_async_context(hosted(data_dir, clock, prepare))
                yielding = host.yielding
            desk = await RemoteDesk.connect(data_dir)
            if desk is None:
                await asyncio.sleep(PAUSE_S)
        if desk is None:
            raise StoreInUse(
                f"a process writes {data_dir} and can't be reached; "
                "try again when it is up, or gone"
            )
        stack.push_async_callback(desk.close)
        yield Access(desk, yielding)


@contextlib.asynccontextmanager
async def hosted(
    data_dir: Path, clock: Clock, prepare: Prepare | None = None
) -> AsyncIterator[DeskHost]:
    """Be the writer of a log's groups, and nothing else, until the end."""
    store = await open_store(StoreOptions(data_dir), clock)
    try:
        host = DeskHost(store, clock, GroupDesk(store, clock), data_dir)
        if prepare is not None:
            await prepare(store, host.tables)
        await host.start()
        try:
            yield host
        finally:
            await host.stop()
    finally:
        await store.close()


async def open_in_turn(options: StoreOptions, clock: Clock) -> StreamStore:
    """Do as `open_store`; a command that only reads for a group makes way first.

    Raises:
        StoreError: as `open_store` says.
    """
    try:
        return await open_store(options, clock)
    except StoreInUse:
        if not await asked_to_yield(options.data_dir):
            raise
    for _ in range(int(PATIENCE_S / PAUSE_S)):
        with contextlib.suppress(StoreInUse):
            return await open_store(options, clock)
        await asyncio.sleep(PAUSE_S)
    return await open_store(options, clock)


async def asked_to_yield(data_dir: Path) -> bool:
    """Ask whoever writes a directory to make way; False when that is a gateway, or mute."""
    desk = await RemoteDesk.connect(data_dir)
    if desk is None:
        return False
    try:
        return await desk.ask_to_yield()
    except StoreUnavailable:
        return True
    finally:
        await desk.close()
