"""Connections to a data directory's file: how they are opened, and what their errors mean."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import aiosqlite

from gateway.errors import (
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreNotWritable,
    StoreTooNew,
    StoreUnavailable,
)
from gateway.store.sqlite.schema import (
    APPLICATION_ID,
    DATABASE_NAME,
    FORMAT_VERSION,
    migration_script,
)

BUSY_TIMEOUT_S = 5.0
CHECKPOINT_PAGES = 4000
WAL_BYTES_KEPT = 64 << 20
STATEMENTS_CACHED = 256
NOT_WRITABLE_CODES = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
DAMAGED_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
PRIMARY_CODE = 0xFF

Parameters = Sequence[Any] | Mapping[str, Any]

# Some builds of SQLite fill what is deleted with zeros: retention would wear the flash twice.
WRITER_PRAGMAS = f"""
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
    PRAGMA journal_size_limit = {WAL_BYTES_KEPT};
    PRAGMA temp_store = MEMORY;
    PRAGMA secure_delete = OFF;
"""


def unavailable(error: sqlite3.Error, path: Path) -> StoreUnavailable:
    """Say an engine's error in our words: StoreFull where room is what is missing."""
    if primary_code(error) in DAMAGED_CODES:
        return StoreDamaged(
            f"{path} is damaged: {error}; start its gateway again to save what can be read"
        )
    if primary_code(error) == sqlite3.SQLITE_FULL or "disk is full" in str(error):
        return StoreFull(f"no room for {path}: {error}; free some space, nothing was lost")
    return StoreUnavailable(f"can't use {path}: {error}")


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its details; 0 when the error didn't come from SQLite."""
    return getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE


async def connect_writer(path: Path) -> aiosqlite.Connection:
    """Open the one connection that writes, on a file in today's format; create or migrate it.

    Raises:
        StoreTooNew: a newer program wrote the file; it was not touched.
        StoreNotWritable: the file or its directory can't be written.
        StoreUnavailable: the disk refused.
    """
    if is_written(path):
        # Through a connection that can't write: closing a writing one already changes files.
        await close_quietly((await connect_reader(path)).connection)
    connection = await aiosqlite.connect(
        path,
        isolation_level=None,
        timeout=BUSY_TIMEOUT_S,
        cached_statements=STATEMENTS_CACHED,
    )
    async with closed_on_error(connection):
        try:
            await set_up(connection, path)
        except sqlite3.Error as error:
            if primary_code(error) in NOT_WRITABLE_CODES:
                raise StoreNotWritable(f"can't write {path}: {error}") from error
            raise unavailable(error, path) from error
    return connection


async def set_up(connection: aiosqlite.Connection, path: Path) -> None:
    """Choose how the file is written, and bring it to today's format."""
    await connection.executescript(WRITER_PRAGMAS)
    done = await read_pragma(connection, "user_version")
    if done < FORMAT_VERSION:
        await connection.executescript(migration_script(done))


class Opened(NamedTuple):
    """A reading connection; a `frozen` one believes that nobody writes the file meanwhile."""

    connection: aiosqlite.Connection
    is_frozen: bool


async def connect_reader(path: Path) -> Opened:
    """Open a connection that reads, beside a writer or after one, without any right to write.

    Raises:
        StoreUnavailable: there is no log, or it can't be read.
        StoreTooNew: a newer program wrote the file.
        StoreError: the file is not a log.
    """
    if not is_written(path):
        raise StoreUnavailable(
            f"there is no log in {path.parent} ({DATABASE_NAME} is missing); "
            "name the data directory of a gateway"
        )
    try:
        return Opened(await connect_checked(path, "mode=ro"), is_frozen=False)
    except sqlite3.OperationalError as error:
        if not is_settled(path):
            raise unavailable(error, path) from error
    # Nobody writes it, and the files that readers share can't be created here: no need for them.
    try:
        return Opened(await connect_checked(path, "mode=ro&immutable=1"), is_frozen=True)
    except sqlite3.OperationalError as error:
        raise unavailable(error, path) from error


def is_settled(path: Path) -> bool:
    """Whether everything is in the main file, as after a clean stop."""
    return not is_written(path.with_name(path.name + "-wal"))


def is_written(path: Path) -> bool:
    """Whether there is such a file, and something in it."""
    return path.exists() and path.stat().st_size > 0


def look_of(path: Path) -> tuple[int, int, bool]:
    """What shows from outside that somebody has written the file."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size, is_settled(path)


def uri_of(path: Path) -> str:
    """The path as SQLite takes it where parameters follow."""
    return path.resolve().as_uri()


async def connect_checked(path: Path, parameters: str) -> aiosqlite.Connection:
    """Connect by a URI with these parameters and see that the file is one of ours."""
    connection = await aiosqlite.connect(
        f"{uri_of(path)}?{parameters}",
        uri=True,
        isolation_level=None,
        timeout=BUSY_TIMEOUT_S,
        cached_statements=STATEMENTS_CACHED,
    )
    async with closed_on_error(connection):
        await check_format(connection, path)
    return connection


async def check_format(connection: aiosqlite.Connection, path: Path) -> None:
    """Compare the file's marks with ours.

    Raises:
        StoreTooNew: its format is of a later program.
        StoreError: it is no log at all.
    """
    try:
        application_id = await read_pragma(connection, "application_id")
        version = await read_pragma(connection, "user_version")
        tables = await connection.execute_fetchall("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} is not a Penstock log: {error}") from error
    is_empty = (version, next(iter(tables))[0]) == (0, 0)
    if application_id != APPLICATION_ID and not is_empty:
        raise StoreError(f"{path} is not a Penstock log: it belongs to another program")
    if version > FORMAT_VERSION:
        raise StoreTooNew(
            f"{path} has format {version}, this program knows {FORMAT_VERSION}; "
            "run the newer program, nothing was touched"
        )


async def read_pragma(connection: aiosqlite.Connection, name: str) -> int:
    """Read one of the file's integers."""
    rows = await connection.execute_fetchall(f"PRAGMA {name}")
    return int(next(iter(rows))[0])


@contextlib.asynccontextmanager
async def closed_on_error(connection: aiosqlite.Connection) -> AsyncIterator[None]:
    """Close the connection when what follows fails or is cancelled: its thread outlives neither."""
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(close_quietly, connection)
        yield
        stack.pop_all()


async def close_quietly(connection: aiosqlite.Connection) -> None:
    """Close a connection whose last words don't matter."""
    with contextlib.suppress(sqlite3.Error, ValueError):
        await connection.close()


async def empty_wal(connection: aiosqlite.Connection, path: Path) -> None:
    """Move the WAL's content into the main file, fsync that, and begin the WAL anew.

    Raises:
        StoreUnavailable: a reader held on to the WAL for too long.
        sqlite3.Error: the disk refused.
    """
    rows = await connection.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
    if next(iter(rows))[0]:
        raise StoreUnavailable(f"a reader of {path} keeps its log from being written anew")


async def bound_wal(
    connection: aiosqlite.Connection, path: Path, reserve_bytes: int, *, is_full: bool
) -> None:
    """Keep the WAL so short that a reserve has room for what it holds, if there is a reserve.

    Raises:
        sqlite3.Error: the disk refused.
    """
    if not reserve_bytes:
        return
    page_bytes = await read_pragma(connection, "page_size")
    pages = min(reserve_bytes // 2 // page_bytes, CHECKPOINT_PAGES)
    await connection.execute_fetchall(f"PRAGMA wal_autocheckpoint = {pages}")
    if is_full:
        # Its content in the main file takes up less than it gives back.
        with contextlib.suppress(StoreUnavailable, sqlite3.Error):
            await empty_wal(connection, path)


async def bytes_within(connection: aiosqlite.Connection) -> int:
    """How much room there is within the file.

    Raises:
        sqlite3.Error: the disk refused.
    """
    free_pages = await read_pragma(connection, "freelist_count")
    return free_pages * await read_pragma(connection, "page_size")


class ReadConnection:
    """A reading connection that is opened when first used, and anew after an error."""

    def __init__(self, path: Path, on_damage: Callable[[StoreDamaged], None] | None = None) -> None:
        self._path = path
        self._on_damage = on_damage
        self._connection: aiosqlite.Connection | None = None
        self._frozen_look: tuple[int, int, bool] | None = None
        self._is_closed = False
        self._opening = asyncio.Lock()

    async def fetchall(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows, all of one snapshot.

        Raises:
            StoreUnavailable: the disk refused, or the store is closed.
        """
        connection = await self._open()
        try:
            rows = await connection.execute_fetchall(sql, parameters)
        except sqlite3.Error as error:
            if self._connection is connection:
                await self._drop()
            failure = unavailable(error, self._path)
            if self._on_damage is not None and isinstance(failure, StoreDamaged):
                self._on_damage(failure)
            raise failure from error
        return cast(list[tuple[Any, ...]], rows)

    async def renew(self) -> None:
        """Open the file anew when it is next read: another has taken its place."""
        async with self._opening:
            await self._drop()

    async def close(self) -> None:
        async with self._opening:
            self._is_closed = True
            await self._drop()

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._frozen_look = None
        if connection is not None:
            await close_quietly(connection)

    async def _open(self) -> aiosqlite.Connection:
        if self._frozen_look is not None and self._frozen_look != look_of(self._path):
            await self._drop()
        if self._connection is not None:
            return self._connection
        async with self._opening:
            if self._is_closed:
                raise StoreUnavailable(f"{self._path} is closed")
            if self._connection is None:
                look = look_of(self._path) if is_written(self._path) else None
                self._connection, is_frozen = await connect_reader(self._path)
                self._frozen_look = look if is_frozen else None
            return self._connection
