"""Reading a log anew from the disk, a little at a time, to find damage before somebody needs it.

Each step uses a connection of its own, so that no page comes from memory of ours. A batch whose
checksum is wrong is one that readers step over: it is named, with what it takes from its partition.
A page that SQLite can't use is damage of the file, and raised as such.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import orjson

from gateway.errors import StoreDamaged
from gateway.store.protocol import Put
from gateway.store.scrubbing import DamagedBatch, Scrubbed
from gateway.store.sqlite.connections import unavailable
from gateway.store.sqlite.damage import find_in_layout, is_damage
from gateway.store.sqlite.rows import COLUMNS, BatchRow, is_intact
from gateway.store.sqlite.verifying import connect_snapshot

STEP_BYTES = 512 << 10
BATCHES_SQL = f"SELECT {COLUMNS} FROM batches WHERE id > ? ORDER BY id"  # noqa: S608 - names
NEIGHBOURS_SQL = """
    SELECT p.stream, p.partition,
        coalesce((SELECT max(base_offset + record_count) FROM batches
            WHERE partition_number = p.number AND id < ?1 AND id > ?1 - ?2), p.log_start_offset),
        (SELECT min(base_offset) FROM batches
            WHERE partition_number = p.number AND id > ?1 AND id < ?1 + ?2)
    FROM partitions AS p WHERE p.number = ?3
"""
REPORT_TABLE = "damage"
TABLES = ("entries", "groups", "group_offsets", "partitions", "streams", "meta")


def scrub(path: Path, position: int) -> Scrubbed:
    """Read and check the batches behind `position`, about half a MiB of them; blocks.

    Behind the last of them the other tables and the index of batches follow, in the same step.

    Raises:
        StoreDamaged: SQLite can't read a page.
        StoreUnavailable: the disk refused.
    """
    try:
        with closing(connect_snapshot(path)) as connection:
            found = scrub_step(connection, position)
        return found._replace(file_bytes=path.stat().st_size)
    except sqlite3.Error as error:
        if is_damage(error):
            raise StoreDamaged(f"{path} is damaged: {error}") from error
        raise unavailable(error, path) from error


def scrub_step(connection: sqlite3.Connection, position: int) -> Scrubbed:
    """Do as `scrub`; SQLite's errors pass."""
    connection.execute("BEGIN")
    read_bytes = 0
    damaged: list[DamagedBatch] = []
    for columns in connection.execute(BATCHES_SQL, (position,)):
        row = BatchRow(*columns)
        position = row.id
        read_bytes += len(columns[-1]) if isinstance(columns[-1], bytes) else 0
        if not is_intact(row):
            damaged += locate(connection, row)
        if read_bytes >= STEP_BYTES:
            return Scrubbed(position, 0, damaged)
    for complaint in check_tables(connection):
        raise sqlite3.DatabaseError(f"database disk image is malformed: {complaint}")
    return Scrubbed(0, 0, damaged)


def locate(connection: sqlite3.Connection, row: BatchRow) -> Iterator[DamagedBatch]:
    """What a damaged batch takes from its partition: what lies between its neighbours."""
    span = 1 << 40
    found = connection.execute(NEIGHBOURS_SQL, (row.id, span, row.partition_number)).fetchall()
    for stream, partition, start, stop in found:
        own_stop = row.base_offset + row.record_count
        yield DamagedBatch(row.id, stream, partition, start, own_stop if stop is None else stop)


def check_tables(connection: sqlite3.Connection) -> Iterator[str]:
    """What is wrong with everything but the batches."""
    for table in TABLES:
        for (line,) in connection.execute(f"PRAGMA integrity_check('{table}')"):
            if line != "ok":
                yield line.replace("\n", " ")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    yield from find_in_layout(connection, version)


def report_put(damaged: Sequence[DamagedBatch], now_ms: int) -> Put:
    """The report of batches that readers step over, among those of databases that were mended."""
    time = datetime.fromtimestamp(now_ms / 1000, UTC)
    report = {
        "time": f"{time:%Y-%m-%dT%H:%M:%SZ}",
        "finding": f"{len(damaged)} batches don't match their checksums",
        "batches_damaged": len(damaged),
        "batches": [own.batch_id for own in damaged],
        "gaps": [
            {
                "stream": own.stream,
                "partition": own.partition,
                "start_offset": own.start_offset,
                "stop_offset": own.stop_offset,
                "is_jump": False,
            }
            for own in damaged
        ],
    }
    # Several may be found within a second.
    key = f"{report['time']}/{damaged[0].batch_id}"
    return Put(REPORT_TABLE, key, orjson.dumps(report))


def known_batches(reports: Iterable[bytes]) -> set[int]:
    """The damaged batches that reports name."""
    return {own for report in reports for own in orjson.loads(report).get("batches", ())}
