"""Keyed state in the table `entries`: the last value of each key, beside the log it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.store.protocol import Put
from gateway.store.sqlite.committer import Committer
from gateway.store.sqlite.connections import ReadConnection
from gateway.store.sqlite.drafts import Statement
from gateway.store.sqlite.reader import ENTRY_SQL, ITEMS_SQL

PUT_SQL = """
    INSERT INTO entries VALUES (?, ?, ?)
    ON CONFLICT (table_name, key) DO UPDATE SET value = excluded.value
"""
DELETE_SQL = "DELETE FROM entries WHERE table_name = ? AND key = ?"


def put_statements(puts: Iterable[Put]) -> list[Statement]:
    """The changes that make the table what it is after these puts, in their order."""
    last = {(put.table, put.key): put.value for put in puts}
    kept = [(*place, value) for place, value in last.items() if value is not None]
    deleted = [place for place, value in last.items() if value is None]
    statements: list[Statement] = []
    if kept:
        statements.append((PUT_SQL, kept))
    if deleted:
        statements.append((DELETE_SQL, deleted))
    return statements


class SqliteTable:
    """One keyed table; what it returns is durable."""

    def __init__(self, name: str, connection: ReadConnection, committer: Committer) -> None:
        self._name = name
        self._connection = connection
        self._committer = committer

    async def get(self, key: str) -> bytes | None:
        rows = await self._connection.fetchall(ENTRY_SQL, (self._name, key))
        return rows[0][0] if rows else None

    async def items(self, prefix: str = "") -> Sequence[tuple[str, bytes]]:
        parameters = (self._name, prefix, len(prefix), prefix)
        rows = await self._connection.fetchall(ITEMS_SQL, parameters)
        return [(key, value) for key, value in rows]

    async def put(self, key: str, value: bytes) -> None:
        await self._committer.submit((), put_statements([Put(self._name, key, value)]))

    async def delete(self, key: str) -> None:
        await self._committer.submit((), put_statements([Put(self._name, key, None)]))
