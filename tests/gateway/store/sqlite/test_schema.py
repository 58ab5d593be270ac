import sqlite3

import pytest

from gateway.store.sqlite.catalog import LAST_BATCHES_SQL
from gateway.store.sqlite.rows import BatchRow
from gateway.store.sqlite.schema import (
    APPLICATION_ID,
    FORMAT_VERSION,
    OFFSET_BITS,
    batch_id,
    migration_script,
    offset_of,
)


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
        row[0] for row in database.execute("SELECT name FROM sqlite_schema WHERE sql NOTNULL")
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
        ],
        "partitions": ["number", "stream", "partition", "log_start_offset", "removed_to_ms"],
        "batches": [
            "id",
            "commit_no",
            "record_count",
            "first_ms",
            "last_ms",
            "payload_bytes",
            "log_bytes",
            "checksum",
            "body",
        ],
        "entries": ["table_name", "key", "value"],
        "groups": ["name", "generation"],
        "group_offsets": ["group_name", "stream", "partition", "committed_offset"],
    }
    assert columns_of(database, "batches") == list(BatchRow._fields)


def test_a_migration_that_fails_leaves_nothing(database):
    with pytest.raises(sqlite3.OperationalError):
        database.executescript(migration_script(0))
    database.execute("ROLLBACK")
    assert database.execute("PRAGMA user_version").fetchone() == (FORMAT_VERSION,)


def test_an_id_is_a_partition_and_an_offset():
    assert batch_id(3, 5) == 3 * 2**44 + 5
    assert offset_of(batch_id(3, 5)) == 5
    assert batch_id(2, 2**44 - 1) < batch_id(3, 0)
    assert f"<< {OFFSET_BITS}" in LAST_BATCHES_SQL
    assert batch_id(2**19 - 1, 2**44 - 1) == 2**63 - 1
