"""A worker's view of a log inside the test's own process: host and link over a pair of sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from gateway.pipeline import no_puts
from gateway.store import Link, StoreHost, open_linked


class Linked:
    """One worker's link to a store: what `close` ends as the death of the worker would."""

    def __init__(self, host, link, serving):
        self.host = host
        self.link = link
        self.serving = serving
        self.stores = []

    async def store(self, data_dir):
        """The log as the worker sees it."""
        opened = await open_linked(data_dir, self.link)
        self.stores.append(opened)
        return opened

    async def close(self):
        for one in self.stores:
            await one.close()
        await self.link.close()
        await self.serving


@contextlib.asynccontextmanager
async def linked(store, puts_of=no_puts, told=None):
    """Serve a store to a link."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    host = StoreHost(store, writer, puts_of, told or {})
    serving = asyncio.create_task(host.serve(reader))
    link = Link(*await asyncio.open_unix_connection(sock=theirs))
    found = Linked(host, link, serving)
    try:
        yield found
    finally:
        await found.close()
