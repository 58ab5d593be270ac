"""The tables of a data directory's one file, for ever: docs/format.md explains them.

Names here are on people's disks: they change only by a migration that is added at the end.
"""

from __future__ import annotations

DATABASE_NAME = "penstock.db"
LOCK_NAME = "penstock.lock"

APPLICATION_ID = 0x5053544B
"""`PSTK`, so that `file penstock.db` and other programs can tell whose it is."""

PLACE_BITS = 9
"""A batch's id is the number of its commit above this many bits, and its place in it below."""

FENCE_COMMITS = 64
FENCE_SPAN = FENCE_COMMITS << PLACE_BITS
"""How far behind a fence, in ids, batches of its partition may lie without being fences.

Batches lie in the order of their commits, so that a commit of many partitions writes few pages. To
find an offset, some batches of each partition are in an index, the fences: every batch of a
partition is one, unless another fence of the partition lies less than this before it.
"""

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
        head_id INTEGER NOT NULL DEFAULT 0,
        removed_to_ms INTEGER NOT NULL DEFAULT 0,
        UNIQUE (stream, partition)
    );
    CREATE TABLE batches (
        id INTEGER PRIMARY KEY,
        partition_number INTEGER NOT NULL,
        base_offset INTEGER NOT NULL,
        record_count INTEGER NOT NULL,
        first_ms INTEGER NOT NULL,
        last_ms INTEGER NOT NULL,
        payload_bytes INTEGER NOT NULL,
        log_bytes INTEGER NOT NULL,
        is_fence INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        body BLOB NOT NULL
    );
    CREATE INDEX batch_fences ON batches (partition_number, base_offset) WHERE is_fence = 1;
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
    """
    ALTER TABLE streams ADD COLUMN behind TEXT NOT NULL DEFAULT 'drop';
    """,
    """
    ALTER TABLE streams ADD COLUMN compact_by TEXT;
    ALTER TABLE streams ADD COLUMN tombstones_ms INTEGER NOT NULL DEFAULT 86400000;
    """,
    """
    ALTER TABLE group_offsets ADD COLUMN since_offset INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE group_offsets ADD COLUMN passed INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE group_offsets ADD COLUMN returned INTEGER NOT NULL DEFAULT 0;
    UPDATE group_offsets SET since_offset = committed_offset;
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
            # The copy of streams and partitions names the format; its writer makes it anew.
            "DELETE FROM meta WHERE name = 'layout';",
            f"PRAGMA application_id = {APPLICATION_ID};",
            f"PRAGMA user_version = {FORMAT_VERSION};",
            "COMMIT;",
        )
    )


def batch_id(commit_no: int, place: int) -> int:
    """The id of the batch at this place of a commit; ids are in merge order."""
    return commit_no << PLACE_BITS | place


def commit_no_of(identity: int) -> int:
    """The number of the commit that made the batch with this id durable."""
    return identity >> PLACE_BITS
