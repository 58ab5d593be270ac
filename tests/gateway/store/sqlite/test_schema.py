import sqlite3
from contextlib import closing

import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreError
from gateway.store import StoreOptions, open_reader, open_store, verify_log
from gateway.store.batch_format import BatchCompressor, pack
from gateway.store.sqlite.catalog import COMMIT_NO_SQL
from gateway.store.sqlite.rows import BatchRow, checksum_of
from gateway.store.sqlite.schema import (
    APPLICATION_ID,
    DATABASE_NAME,
    FENCE_SPAN,
    FORMAT_VERSION,
    MIGRATIONS,
    PLACE_BITS,
    batch_id,
    commit_no_of,
    migration_script,
)
from gateway.store.sqlite.specs import PARTITIONS_TOTAL_MAX
from tests.gateway.store.building import BASE_MS, everything, numbered


@pytest.fixture
def database():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(migration_script(0))
    yield connection
    connection.close()


def columns_of(database, table):
    return [row[1] for row in database.execute(f"PRAGMA table_info({table})")]


def test_a_new_file_carries_our_marks(database):
    assert database.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert database.execute("PRAGMA user_version").fetchone() == (FORMAT_VERSION,)


def test_names_are_for_ever(database):
    """They lie on people's disks: only a migration that is added at the end may change this."""
    tables = [
        row[0] for row in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    ]
    assert {table: columns_of(database, table) for table in tables} == {
        "meta": ["name", "value"],
        "streams": [
            "name",
            "partitions",
            "durability",
            "retention_age_ms",
            "retention_bytes",
            "retention_count",
            "behind",
            "compact_by",
            "tombstones_ms",
        ],
        "partitions": [
            "number",
            "stream",
            "partition",
            "log_start_offset",
            "head_id",
            "removed_to_ms",
        ],
        "batches": [
            "id",
            "partition_number",
            "base_offset",
            "record_count",
            "first_ms",
            "last_ms",
            "payload_bytes",
            "log_bytes",
            "is_fence",
            "checksum",
            "body",
        ],
        "entries": ["table_name", "key", "value"],
        "groups": ["name", "generation"],
        "group_offsets": [
            "group_name",
            "stream",
            "partition",
            "committed_offset",
            "since_offset",
            "passed",
            "returned",
        ],
    }
    assert columns_of(database, "batches") == list(BatchRow._fields)
    indexes = database.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql NOTNULL"
    )
    assert indexes.fetchall() == [("batch_fences",)]


def test_a_migration_that_fails_leaves_nothing(database):
    with pytest.raises(sqlite3.OperationalError):
        database.executescript(migration_script(0))
    database.execute("ROLLBACK")
    assert database.execute("PRAGMA user_version").fetchone() == (FORMAT_VERSION,)


def test_an_id_is_a_commit_and_a_place_in_it():
    assert batch_id(3, 5) == 3 * 512 + 5
    assert commit_no_of(batch_id(3, 511)) == 3
    assert batch_id(2, PARTITIONS_TOTAL_MAX - 1) < batch_id(3, 0)
    assert f">> {PLACE_BITS}" in COMMIT_NO_SQL
    assert batch_id(1, 0) == 1 << PLACE_BITS
    assert batch_id(64, 0) == FENCE_SPAN


@pytest.mark.parametrize("done", range(1, FORMAT_VERSION))
async def test_a_log_of_an_earlier_format_is_brought_up_to_date_and_read(tmp_path, done):
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME, isolation_level=None)) as old:
        for script in MIGRATIONS[:done]:
            old.executescript(script)
        old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        old.execute(f"PRAGMA user_version = {done}")
        old.execute("INSERT INTO streams (name, partitions, durability) VALUES ('old', 1, 'fsync')")
        old.execute("INSERT INTO partitions (number, stream, partition) VALUES (1, 'old', 0)")
        body = BatchCompressor().compress(pack([numbered(0, 5, stream="old")]))
        columns = (batch_id(1, 0), 1, 0, 5, BASE_MS, BASE_MS, 5, len(body))
        row = (*columns, 1, checksum_of(columns, body), body)
        old.execute(f"INSERT INTO batches VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608 - marks
        old.execute("INSERT INTO groups (name, generation) VALUES ('g', 3)")
        old.execute("INSERT INTO group_offsets VALUES ('g', 'old', 0, 2)")
    with pytest.raises(StoreError, match=f"has format {done}"):
        await open_reader(tmp_path)
    store = await open_store(StoreOptions(tmp_path), ManualClock(BASE_MS))
    assert [record.payload for record in await everything(store, "old")] == [
        b"%d" % number for number in range(5)
    ]
    member = store.join("g", ["old"])
    assert [record.offset for batch in await member.poll() for record in batch.records()] == [
        2,
        3,
        4,
    ]
    await member.close()
    await store.close()
    assert verify_log(tmp_path)["sound"]
