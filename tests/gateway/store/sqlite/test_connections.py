import asyncio
import sqlite3

import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreError, StoreFull, StoreNotWritable, StoreTooNew, StoreUnavailable
from gateway.store import StoreOptions, open_store
from gateway.store.sqlite import connections
from gateway.store.sqlite.connections import (
    ReadConnection,
    close_quietly,
    connect_reader,
    connect_writer,
    look_of,
    unavailable,
)
from gateway.store.sqlite.schema import FORMAT_VERSION


@pytest.fixture
def path(tmp_path):
    return tmp_path / "penstock.db"


async def create(path):
    await close_quietly(await connect_writer(path))


async def pragma(connection, name):
    (row,) = await connection.execute_fetchall(f"PRAGMA {name}")
    return row[0]


def change(path, *statements):
    database = sqlite3.connect(path)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


async def test_a_writer_syncs_every_commit_through_a_wal(path):
    connection = await connect_writer(path)
    assert await pragma(connection, "journal_mode") == "wal"
    assert await pragma(connection, "synchronous") == 2
    assert await pragma(connection, "user_version") == FORMAT_VERSION
    await connection.close()


async def test_after_a_clean_stop_there_is_one_file(path):
    await create(path)
    assert [file.name for file in path.parent.iterdir()] == ["penstock.db"]


async def test_a_newer_file_is_refused_and_not_touched(path):
    await create(path)
    change(path, f"PRAGMA user_version = {FORMAT_VERSION + 1}")
    before = path.read_bytes()
    for connect in (connect_writer, connect_reader):
        with pytest.raises(StoreTooNew, match=f"format {FORMAT_VERSION + 1}"):
            await connect(path)
    assert path.read_bytes() == before


async def test_a_file_of_another_program_is_refused(path):
    change(path, "CREATE TABLE songs (name TEXT)")
    for connect in (connect_writer, connect_reader):
        with pytest.raises(StoreError, match="not a Penstock log"):
            await connect(path)


async def test_a_file_that_is_no_database_is_refused(path):
    path.write_bytes(b"diary " * 1000)
    for connect in (connect_writer, connect_reader):
        with pytest.raises(StoreError, match="not a Penstock log"):
            await connect(path)


async def test_an_empty_file_becomes_a_log(path):
    path.touch()
    await create(path)
    await close_quietly((await connect_reader(path)).connection)


async def test_a_file_whose_creation_was_cut_off_becomes_a_log(path):
    """The program died after it had chosen the WAL, before its first transaction."""
    change(path, "PRAGMA journal_mode = WAL", "CREATE TABLE t (x)", "DROP TABLE t")
    await create(path)


async def test_a_reader_can_not_write(path):
    await create(path)
    connection, is_frozen = await connect_reader(path)
    assert not is_frozen
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await connection.execute_fetchall("DELETE FROM meta")
    await connection.close()


async def test_a_place_that_can_not_be_written_is_named(path, monkeypatch):
    error = sqlite3.OperationalError("attempt to write a readonly database")
    error.sqlite_errorcode = sqlite3.SQLITE_READONLY

    async def refuse(connection, path):
        raise error

    monkeypatch.setattr(connections, "set_up", refuse)
    with pytest.raises(StoreNotWritable, match=r"penstock\.db"):
        await connect_writer(path)


async def test_a_disk_that_fails_while_opening_is_unavailable(path, monkeypatch):
    async def refuse(connection, path):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(connections, "set_up", refuse)
    with pytest.raises(StoreUnavailable, match="disk I/O error"):
        await connect_writer(path)


def test_a_full_disk_is_told_apart(path):
    by_text = sqlite3.OperationalError("database or disk is full")
    by_code = sqlite3.OperationalError("?")
    by_code.sqlite_errorcode = sqlite3.SQLITE_FULL
    assert isinstance(unavailable(by_text, path), StoreFull)
    assert isinstance(unavailable(by_code, path), StoreFull)
    assert not isinstance(unavailable(sqlite3.OperationalError("disk I/O error"), path), StoreFull)


@pytest.fixture
def only_frozen(monkeypatch):
    """A directory in which nothing can be created, as far as SQLite is concerned."""
    connect_checked = connections.connect_checked

    async def connect(path, parameters):
        if "immutable" not in parameters:
            raise sqlite3.OperationalError("unable to open database file")
        return await connect_checked(path, parameters)

    monkeypatch.setattr(connections, "connect_checked", connect)


async def test_a_settled_file_is_read_where_nothing_can_be_created(path, only_frozen):
    await create(path)
    connection, is_frozen = await connect_reader(path)
    assert is_frozen
    await connection.close()


async def test_a_file_whose_wal_can_not_be_shared_is_not_read_without_it(tmp_path, only_frozen):
    store = await open_store_despite(tmp_path, only_frozen)
    with pytest.raises(StoreUnavailable, match="unable to open"):
        await connect_reader(tmp_path / "penstock.db")
    await store.close()


async def open_store_despite(data_dir, only_frozen):
    store = await open_store(StoreOptions(data_dir), ManualClock())
    await store.table("t").put("k", b"v")
    return store


async def test_a_frozen_reader_opens_anew_when_the_file_has_changed(path, only_frozen):
    await create(path)
    reader = ReadConnection(path)
    assert await reader.fetchall("SELECT * FROM meta") == []
    before = look_of(path)
    change(path, "INSERT INTO meta VALUES ('x', 1)")
    assert look_of(path) != before
    assert await reader.fetchall("SELECT * FROM meta") == [("x", 1)]
    await reader.close()


async def test_a_frozen_file_that_is_damaged_is_unavailable(path, monkeypatch):
    await create(path)

    async def refuse(path, parameters):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(connections, "connect_checked", refuse)
    with pytest.raises(StoreUnavailable, match="disk I/O error"):
        await connect_reader(path)


async def test_a_disk_that_fails_while_the_marks_are_read_is_unavailable(path, monkeypatch):
    await create(path)

    async def refuse(connection, name):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(connections, "read_pragma", refuse)
    with pytest.raises(StoreUnavailable, match="disk I/O error"):
        await connect_reader(path)


async def test_readers_at_once_share_a_connection_and_its_end(path):
    await create(path)
    reader = ReadConnection(path)
    assert await asyncio.gather(reader.fetchall("SELECT 1"), reader.fetchall("SELECT 2")) == [
        [(1,)],
        [(2,)],
    ]
    failures = await asyncio.gather(
        reader.fetchall("SELECT * FROM nowhere"),
        reader.fetchall("SELECT * FROM nowhere"),
        return_exceptions=True,
    )
    assert all(isinstance(failure, StoreUnavailable) for failure in failures)
    assert await reader.fetchall("SELECT 3") == [(3,)]
    await reader.close()


async def test_a_reading_connection_is_opened_anew_after_an_error(path):
    await create(path)
    reader = ReadConnection(path)
    with pytest.raises(StoreUnavailable, match="no such table"):
        await reader.fetchall("SELECT * FROM nowhere")
    assert await reader.fetchall("SELECT * FROM meta") == []
    await reader.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await reader.fetchall("SELECT * FROM meta")
    await reader.close()
