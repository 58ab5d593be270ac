import sqlite3

import pytest

from gateway.store.sqlite.catalog import COMMIT_NO_SQL
from gateway.store.sqlite.rows import BatchRow
from gateway.store.sqlite.schema import (
    APPLICATION_ID,
    FENCE_SPAN,
    FORMAT_VERSION,
    PLACE_BITS,
    batch_id,
    commit_no_of,
    migration_script,
)
from gateway.store.sqlite.store import PARTITIONS_TOTAL_MAX


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
        "group_offsets": ["group_name", "stream", "partition", "committed_offset"],
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
