"""The desk as a process sees it that doesn't write the log: every call goes over the socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from gateway.errors import StoreError, StoreUnavailable
from gateway.events import Record, Run
from gateway.store.cursors import Key
from gateway.store.groups.calls import (
    ERRORS,
    connected,
    frame,
    offsets_of,
    read_frame,
    rows_of,
)
from gateway.store.groups.changes import Change
from gateway.store.groups.desk import GroupView, Wish
from gateway.store.groups.leases import Ticket
from gateway.store.groups.membership import Seated, Share
from gateway.store.groups.redrive import Redriven, RedriveWish
from gateway.store.groups.work import GiveBack, Grant, Leased, WorkWish
from gateway.store.protocol import Appended, Gap, Put

GONE = "whoever wrote this log has stopped; join again"


class RemoteDesk:
    """A `Desk` and a `Workbench` in another process; StoreUnavailable once that is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = count()
        self._answers: dict[int, asyncio.Future[tuple[str | None, Any]]] = {}
        self._listening = asyncio.create_task(self._listen(), name="remote desk")

    @classmethod
    async def connect(cls, data_dir: Path) -> RemoteDesk | None:
        """Reach whoever writes a data directory; None when nobody listens there.

        Raises:
            StoreError: this user may not.
        """
        try:
            connection = connected(data_dir)
        except (FileNotFoundError, ConnectionError):
            return None
        except OSError as error:
            raise StoreError(
                f"can't reach the gateway of {data_dir}: {error.strerror}; run as its user"
            ) from error
        return cls(*await asyncio.open_unix_connection(sock=connection))

    async def close(self) -> None:
        """End the connection; members that came over it are lost."""
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def join(self, wish: Wish) -> str:
        return str(await self._call("join", *wish))

    async def beat(self, member: str) -> Share:
        generation, held, leaving = await self._call("beat", member)
        return Share(generation, frozenset(map(tuple, held)), frozenset(map(tuple, leaving)))

    async def committed(self, member: str, keys: Sequence[Key]) -> Mapping[Key, int]:
        return offsets_of(await self._call("committed", member, keys))

    async def release(self, member: str, keys: Sequence[Key]) -> None:
        await self._call("release", member, keys)

    async def commit(
        self,
        member: str,
        offsets: Mapping[Key, int],
        outputs: Sequence[Run] = (),
        state: Sequence[Put] = (),
    ) -> Appended:
        if outputs or state:
            raise StoreError("records and state are committed in the gateway's own process only")
        return Appended(await self._call("commit", member, rows_of(offsets)), [])

    async def leave(self, member: str) -> None:
        await self._call("leave", member)

    async def views(self) -> Sequence[GroupView]:
        """Every group that has members or workers at present, by name."""
        return [
            GroupView(name, generation, [Seated(*seat) for seat in members])
            for name, generation, members in await self._call("views")
        ]

    async def seek(self, group: str, offsets: Mapping[Key, int]) -> None:
        """Do as `GroupDesk.seek`."""
        await self._call("seek", group, rows_of(offsets))

    async def delete(self, group: str) -> None:
        """Do as `GroupDesk.delete`."""
        await self._call("delete", group)

    async def lease(self, wish: WorkWish) -> Grant:
        leased, gaps = await self._call("lease", *wish)
        return Grant(
            [Leased(Ticket(*ticket), Record(*record)) for ticket, record in leased],
            [Gap(*gap) for gap in gaps],
        )

    async def ack(self, group: str, worker: str, tickets: Sequence[Ticket]) -> Sequence[bool]:
        return list(await self._call("ack", group, worker, tickets))

    async def nack(self, group: str, worker: str, ticket: Ticket, back: GiveBack) -> bool:
        return bool(await self._call("nack", group, worker, ticket, back))

    async def extend(self, group: str, worker: str, ticket: Ticket, lease_ms: int) -> bool:
        return bool(await self._call("extend", group, worker, ticket, lease_ms))

    async def redrive(self, wish: RedriveWish) -> Redriven:
        """Put dead letters back; see `gateway.store.groups.redrive`."""
        return Redriven(*await self._call("redrive", *wish))

    async def compact_step(self, stream: str) -> int:
        """Do as `StreamStore.compact_step`, in the process that writes the log."""
        return int(await self._call("compact", stream))

    async def change(self, changes: Sequence[Change], by: str = "") -> None:
        """Do as `TableDesk.change`, in the process that writes the log."""
        await self._call("change", changes, by)

    async def ask(self, name: str, *arguments: Any) -> Any:
        """Ask a running gateway to do what only it can, by name; returns what it answers.

        Raises:
            RequestUnknown: no gateway runs there, or it doesn't know that.
            StoreError: it could not.
        """
        return await self._call("ask", name, *arguments)

    async def ask_to_yield(self) -> bool:
        """Ask whoever writes the log to make way for a gateway; False when it won't."""
        return bool(await self._call("yield"))

    async def _call(self, name: str, *arguments: Any) -> Any:
        if self._listening.done():
            raise StoreUnavailable(GONE)
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(frame([number, name, arguments]))
            error, result = await answer
        finally:
            del self._answers[number]
        if error is not None:
            raise ERRORS.get(error, StoreError)(result)
        return result

    async def _listen(self) -> None:
        """Hand each answer to who waits for it, if anybody still does."""
        try:
            while True:
                number, error, result = await read_frame(self._reader)
                answer = self._answers.get(number)
                if answer is not None and not answer.done():
                    answer.set_result((error, result))
        except (asyncio.IncompleteReadError, OSError, ValueError, TypeError):
            # Those who wait are told below.
            return
        finally:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(StoreUnavailable(GONE))
