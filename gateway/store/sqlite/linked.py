"""The log as a worker process sees it: read from the file, written by way of its link."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from gateway.events import RecordBatch, Run
from gateway.store.cursors import TAIL_RECORDS_MAX, Key
from gateway.store.groups.calls import rows_of
from gateway.store.links.columns import rows_of_runs
from gateway.store.links.link import Link
from gateway.store.protocol import Appended, Gap, Put, Start, StreamSpec, Tail
from gateway.store.sqlite.reader import SqliteReader
from gateway.store.sqlite.schema import DATABASE_NAME

PUTS_AT_ONCE = 1_000
"""So many table changes are sent in one go: the writer serves others between two parts."""


class LinkedStore(SqliteReader):
    """A `ConsumerStore` beside the process that writes the log; commits there wake readers here."""

    def __init__(self, data_dir: Path, link: Link) -> None:
        self._path = data_dir / DATABASE_NAME
        super().__init__(self._path)
        self._link = link
        self._known_commit_no = 0
        self._inode = 0

    @property
    def known_commit_no(self) -> int:
        return self._known_commit_no

    async def open(self) -> None:
        self._inode = self._path.stat().st_ino
        await super().open()

    async def wait(self, after_commit_no: int) -> None:
        commit_no = await self._link.call("wait", after_commit_no)
        if (inode := self._path.stat().st_ino) != self._inode:
            # The writer has put a mended file in the place of a damaged one.
            await self._connection.renew()
            self._inode = inode
        self._known_commit_no = max(self._known_commit_no, commit_no)

    async def ensure(self, spec: StreamSpec) -> None:
        await self._link.call("ensure", astuple(spec))

    async def append(self, runs: Sequence[Run], puts: Sequence[Put] = ()) -> Appended:
        return Appended(*await self._link.call("append", rows_of_runs(runs), puts))

    def join(
        self, group: str, streams: Sequence[str], *, start: Start = "earliest"
    ) -> LinkedMember:
        return LinkedMember(self, self._link, group, (streams, start))

    def table(self, name: str) -> LinkedTable:
        return LinkedTable(self, name)


class LinkedMember:
    """A member of a group that holds every partition; the writer refuses it once another joins."""

    def __init__(
        self, store: LinkedStore, link: Link, group: str, place: tuple[Sequence[str], Start]
    ) -> None:
        self._store = store
        self._link = link
        self._group = group
        self._streams, self._start = place
        self._joining: asyncio.Task[int] | None = None
        self._tail: Tail | None = None

    @property
    def gaps(self) -> Sequence[Gap]:
        return () if self._tail is None else self._tail.gaps

    async def poll(self, *, records_max: int = TAIL_RECORDS_MAX) -> Sequence[RecordBatch]:
        if self._tail is None:
            await self._number()
            self._tail = self._store.follow(await self._positions())
        return await self._tail.next(records_max=records_max)

    async def commit(
        self,
        *,
        outputs: Sequence[Run] = (),
        state: Sequence[Put] = (),
        offsets: Mapping[Key, int] | None = None,
    ) -> Appended:
        number = await self._number()
        last = max(0, len(state) - 1) // PUTS_AT_ONCE * PUTS_AT_ONCE
        for start in range(0, last, PUTS_AT_ONCE):
            self._link.tell("stage", number, state[start : start + PUTS_AT_ONCE])
            await self._link.drain()
        rows = rows_of(offsets or {})
        result = await self._link.call("commit", number, rows_of_runs(outputs), state[last:], rows)
        return Appended(*result)

    async def close(self) -> None:
        if self._tail is not None:
            self._tail.close()
        if self._joining is not None and not self._link.ended.done():
            await self._link.call("leave", await self._number())

    async def _number(self) -> int:
        """What the writer calls this member; the first call joins."""
        if self._joining is None:
            joining: Any = self._link.call("join", self._group, list(self._streams))
            self._joining = asyncio.create_task(joining, name=f"join {self._group}")
        return await asyncio.shield(self._joining)

    async def _positions(self) -> dict[Key, int]:
        positions = await self._store.resolve(self._streams, self._start)
        for own in await self._store.groups():
            if own.name == self._group:
                positions.update({key: own.offsets[key] for key in positions if key in own.offsets})
        return positions


class LinkedTable:
    """One keyed table; what it returns is durable."""

    def __init__(self, store: LinkedStore, name: str) -> None:
        self._store = store
        self._name = name

    async def get(self, key: str) -> bytes | None:
        return await self._store.entry(self._name, key)

    async def items(self, prefix: str = "") -> Sequence[tuple[str, bytes]]:
        return await self._store.entries(self._name, prefix)

    async def put(self, key: str, value: bytes) -> None:
        await self._store.append((), [Put(self._name, key, value)])

    async def delete(self, key: str) -> None:
        await self._store.append((), [Put(self._name, key, None)])
