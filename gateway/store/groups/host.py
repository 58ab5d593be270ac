"""The desk's door to other processes: a socket in the data directory, for this user alone.

Whoever writes the log listens there. A connection's members are lost when it is, so the partitions
of a process that is killed move as soon as the kernel has closed its socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from gateway.clock import Clock
from gateway.errors import RequestUnknown, StoreError
from gateway.store.groups.calls import (
    SocketPath,
    error_name,
    frame,
    offsets_of,
    read_frame,
    rows_of,
)
from gateway.store.groups.changes import Change, TableDesk
from gateway.store.groups.desk import GroupDesk, Wish
from gateway.store.groups.leases import Ticket
from gateway.store.groups.redrive import RedriveWish, redrive
from gateway.store.groups.work import GiveBack, WorkWish
from gateway.store.protocol import StreamStore

LOOK_S = 0.5
CONNECTIONS_MAX = 256
SOCKET_MODE = 0o600
BAD_CALL = (TypeError, ValueError, KeyError, AttributeError)

Call = Callable[..., Awaitable[Any]]


class DeskHost:
    """Serves a desk to other processes, from `start` until `stop`.

    `tables` takes the changes of tables that come over the socket; `requests` answers what only a
    running gateway can do, by name: whoever builds the gateway adds to it.
    """

    is_lasting = False
    """Whether this is a gateway, which makes way for nobody."""

    def __init__(self, store: StreamStore, clock: Clock, desk: GroupDesk, data_dir: Path) -> None:
        self._store = store
        self._clock = clock
        self._desk = desk
        self._data_dir = data_dir
        self._server: asyncio.Server | None = None
        self._visits: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._looking: asyncio.Task[None] | None = None
        self._redriving = asyncio.Lock()
        self.tables = TableDesk(store)
        self.requests: dict[str, Call] = {}
        self.yielding = asyncio.Event()
        """Set when a gateway asks for the data directory."""
        self._calls: dict[str, Call] = {
            "join": self._join,
            "beat": self._beat,
            "committed": self._committed,
            "release": self._release,
            "commit": self._commit,
            "leave": self._desk.leave,
            "views": self._desk.views,
            "seek": self._seek,
            "delete": self._desk.delete,
            "lease": self._lease,
            "ack": self._ack,
            "nack": self._nack,
            "extend": self._extend,
            "redrive": self._redrive,
            "compact": self._store.compact_step,
            "yield": self._yield,
            "change": self._change,
            "ask": self._ask,
        }

    async def start(self) -> None:
        """Begin to listen; the data directory must be locked, so a socket in it is a dead one's.

        Raises:
            OSError: the socket can't be made.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            bind(listener, self._data_dir)
            self._server = await asyncio.start_unix_server(self._visit, sock=listener)
        except OSError:
            listener.close()
            raise
        self._looking = asyncio.create_task(self._look_on(), name="group desk")

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._looking is not None:
            self._looking.cancel()
        if self._server is not None:
            self._server.close()
        for writer in self._visits.values():
            # That ends its visit as if the other side were gone.
            writer.transport.abort()
        await asyncio.gather(*self._visits, return_exceptions=True)
        unlink(self._data_dir)

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self._desk.look()

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = asyncio.current_task()
        if visit is None or len(self._visits) >= CONNECTIONS_MAX:
            writer.close()
            return
        self._visits[visit] = writer
        members: set[str] = set()
        try:
            # The other side being gone, or talking nonsense, ends the visit.
            with contextlib.suppress(asyncio.IncompleteReadError, OSError, *BAD_CALL):
                while True:
                    number, name, arguments = await read_frame(reader)
                    writer.write(frame(await self._answer(number, name, arguments, members)))
                    await writer.drain()
        finally:
            del self._visits[visit]
            for member in members:
                self._desk.lose(member)
            writer.close()

    async def _answer(self, number: int, name: str, arguments: Any, members: set[str]) -> list[Any]:
        call = self._calls.get(name)
        if call is None:
            return [number, "StoreError", f"this gateway doesn't know how to {name!r}"]
        try:
            result = await call(*arguments)
        except StoreError as error:
            return [number, error_name(error), str(error)]
        except BAD_CALL as error:
            return [number, "StoreError", f"{name!r} was called with what it can't use: {error}"]
        if name == "join":
            members.add(result)
        return [number, None, result]

    async def _join(self, *wish: Any) -> str:
        return await self._desk.join(Wish(*wish))

    async def _beat(self, member: str) -> list[Any]:
        generation, held, leaving = await self._desk.beat(member)
        return [generation, sorted(held), sorted(leaving)]

    async def _committed(self, member: str, keys: list[Any]) -> list[Any]:
        return rows_of(await self._desk.committed(member, [tuple(key) for key in keys]))

    async def _release(self, member: str, keys: list[Any]) -> None:
        await self._desk.release(member, [tuple(key) for key in keys])

    async def _commit(self, member: str, rows: list[Any]) -> int:
        return (await self._desk.commit(member, offsets_of(rows))).commit_no

    async def _seek(self, group: str, rows: list[Any]) -> None:
        await self._desk.seek(group, offsets_of(rows))

    async def _lease(self, *wish: Any) -> Any:
        return await self._desk.work.lease(WorkWish(*wish))

    async def _ack(self, group: str, worker: str, tickets: list[Any]) -> Any:
        return await self._desk.work.ack(group, worker, [Ticket(*own) for own in tickets])

    async def _nack(self, group: str, worker: str, ticket: Any, back: Any) -> bool:
        return await self._desk.work.nack(group, worker, Ticket(*ticket), GiveBack(*back))

    async def _extend(self, group: str, worker: str, ticket: Any, lease_ms: int) -> bool:
        return await self._desk.work.extend(group, worker, Ticket(*ticket), lease_ms)

    async def _redrive(self, *wish: Any) -> Any:
        async with self._redriving:
            return await redrive(self._store, self._clock, RedriveWish(*wish))

    async def _change(self, changes: list[Any], by: str = "") -> None:
        await self.tables.change([Change(*own) for own in changes], str(by))

    async def _ask(self, name: str, *arguments: Any) -> Any:
        answer = self.requests.get(name)
        if answer is None:
            if self.is_lasting:
                raise RequestUnknown(f"this gateway doesn't know how to {name!r}")
            raise RequestUnknown(f"no gateway runs on {self._data_dir}; start one first")
        return await answer(*arguments)

    async def _yield(self) -> bool:
        if self.is_lasting:
            return False
        self.yielding.set()
        return True


def bind(listener: socket.socket, data_dir: Path) -> None:
    """Make the socket of a data directory anew, for this user alone."""
    unlink(data_dir)
    with SocketPath(data_dir) as path:
        listener.bind(path)
        Path(path).chmod(SOCKET_MODE)


def unlink(data_dir: Path) -> None:
    """Remove the socket of a data directory, if there is one."""
    with SocketPath(data_dir) as path, contextlib.suppress(FileNotFoundError):
        Path(path).unlink()
