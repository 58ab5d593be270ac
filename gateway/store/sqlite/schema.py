"""The tables of a data directory's one file, for ever: docs/format.md explains them.

Names here are on people's disks: they change only by a migration that is added at the end.
"""

from __future__ import annotations

DATABASE_NAME = "penstock.db"
LOCK_NAME = "penstock.lock"

APPLICATION_ID = 0x5053544B
"""`PSTK`, so that `file penstock.db` and other programs can tell whose it is."""

OFFSET_BITS = 44
"""A batch's id is its partition's number above this many bits, and its base offset below them."""

OFFSET_END = 1 << OFFSET_BITS

MIGRATIONS = (
    """
    CREATE TABLE meta (
        name TEXT PRIMARY KEY,
        value
    ) WITHOUT ROWID;
    CREATE TABLE streams (
        name TEXT PRIMARY KEY,
        partitions INTEGER NOT NULL,
        durability TEXT NOT NULL,
        retention_age_ms INTEGER,
        retention_bytes INTEGER,
        retention_count INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE partitions (
        number INTEGER PRIMARY KEY,
        stream TEXT NOT NULL REFERENCES streams (name),
        partition INTEGER NOT NULL,
        log_start_offset INTEGER NOT NULL DEFAULT 0,
        removed_to_ms INTEGER NOT NULL DEFAULT 0,
        UNIQUE (stream, partition)
    );
    CREATE TABLE batches (
        id INTEGER PRIMARY KEY,
        commit_no INTEGER NOT NULL,
        record_count INTEGER NOT NULL,
        first_ms INTEGER NOT NULL,
        last_ms INTEGER NOT NULL,
        payload_bytes INTEGER NOT NULL,
        log_bytes INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        body BLOB NOT NULL
    );
    CREATE TABLE entries (
        table_name TEXT NOT NULL,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (table_name, key)
    ) WITHOUT ROWID;
    CREATE TABLE groups (
        name TEXT PRIMARY KEY,
        generation INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE group_offsets (
        group_name TEXT NOT NULL REFERENCES groups (name),
        stream TEXT NOT NULL,
        partition INTEGER NOT NULL,
        committed_offset INTEGER NOT NULL,
        PRIMARY KEY (group_name, stream, partition)
    ) WITHOUT ROWID;
    """,
)
"""Scripts that lead from each format to the next; `user_version` counts those applied."""

FORMAT_VERSION = len(MIGRATIONS)


def migration_script(done: int) -> str:
    """The script that brings a file with `done` migrations up to date, all or nothing."""
    return "\n".join(
        (
            "BEGIN IMMEDIATE;",
            *MIGRATIONS[done:],
            f"PRAGMA application_id = {APPLICATION_ID};",
            f"PRAGMA user_version = {FORMAT_VERSION};",
            "COMMIT;",
        )
    )


def batch_id(number: int, offset: int) -> int:
    """The id that a batch at `offset` of the partition with this number has, or would have."""
    return number << OFFSET_BITS | offset


def offset_of(identity: int) -> int:
    """The base offset in a batch's id."""
    return identity & OFFSET_END - 1
