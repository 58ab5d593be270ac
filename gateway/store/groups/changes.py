"""Changes of keyed tables by people and programs: checked, durable, and told to who keeps a copy.

Whoever writes the log has one `TableDesk`; others reach it over the socket of the data directory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from os.path import commonprefix
from typing import NamedTuple

from gateway.errors import ChangeRefused, StoreError
from gateway.events import Run
from gateway.store.protocol import Put, StreamStore

CHANGES_MAX = 10_000
MANY = 100


class Change(NamedTuple):
    """One key's new value, None to remove it, if it is still `before`: None is no value yet."""

    table: str
    key: str
    value: bytes | None
    before: bytes | None

    @property
    def put(self) -> Put:
        return Put(self.table, self.key, self.value)


Watcher = Callable[[Sequence[Change]], None]
Author = Callable[[Sequence[Change], str], Sequence[Run]]
"""Writes what the log is to say of changes, and of who makes them."""


class TableDesk:
    """Makes changes one after the other, so that what each expects is what it finds.

    Who watches a table hears of every change of it that is made here, after the commit. A table
    that has such changes is to be changed in no other way.
    """

    def __init__(self, store: StreamStore) -> None:
        self._store = store
        self._changing = asyncio.Lock()
        self._watchers: dict[str, list[Watcher]] = {}
        self._authors: dict[str, Author] = {}

    def accompany(self, table: str, author: Author) -> None:
        """Let records go into the log with the changes of a table, in the same commit."""
        self._authors[table] = author

    def watch(self, table: str, watcher: Watcher) -> None:
        """Let somebody hear of the changes of a table."""
        self._watchers.setdefault(table, []).append(watcher)

    async def change(self, changes: Sequence[Change], by: str = "") -> None:
        """Make all of the changes or none; returns when they are durable and told.

        `by` says who wants them, for people.

        Raises:
            ChangeRefused: a key has another value than the one that was expected.
            StoreError: there are too many, or the store could not write.
        """
        if len(changes) > CHANGES_MAX:
            raise StoreError(f"{len(changes)} changes at once; at most {CHANGES_MAX}")
        async with self._changing:
            by_table: dict[str, list[Change]] = {}
            for change in changes:
                by_table.setdefault(change.table, []).append(change)
            for table, own in by_table.items():
                found = await self._values(table, [change.key for change in own])
                for change in own:
                    if found.get(change.key) != change.before:
                        message = f"{change.key!r} was changed by somebody else meanwhile"
                        raise ChangeRefused(message)
            runs = [
                run
                for table, own in by_table.items()
                if table in self._authors
                for run in self._authors[table](own, by)
            ]
            await self._store.append(runs, [change.put for change in changes])
            for table, own in by_table.items():
                for watcher in self._watchers.get(table, ()):
                    watcher(own)

    async def _values(self, table: str, keys: Sequence[str]) -> Mapping[str, bytes | None]:
        """What the keys are now; many are read at once, with what else begins as they do."""
        if len(keys) >= MANY:
            prefix = commonprefix(keys)  # noqa: RUF071 - keys are texts, not paths
            return dict(await self._store.entries(table, prefix))
        return {key: await self._store.entry(table, key) for key in keys}
