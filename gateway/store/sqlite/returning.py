"""Bringing back the records that a salvage had no room for, from the file that was set aside.

Batches keep their ids and offsets, so they come to lie where they were, before everything that has
been taken since. Of each partition the newest come first, some at a time in one transaction that
also takes them off the list of what is lost: whatever ends this, the log is sound, and the next
time goes on. What retention has passed meanwhile is left out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from gateway.errors import StoreError
from gateway.store.sqlite.connections import unavailable
from gateway.store.sqlite.damage import REPORT_SQL, REPORT_TABLE
from gateway.store.sqlite.lock_file import DirectoryLock
from gateway.store.sqlite.pages import Pages
from gateway.store.sqlite.rebuilding import PartitionPlan, plan_partitions, settle_layout
from gateway.store.sqlite.rows import BatchRow, insert_sql
from gateway.store.sqlite.salvage import Finds, read_roots, read_tables
from gateway.store.sqlite.schema import DATABASE_NAME, MIGRATIONS
from gateway.store.sqlite.stretches import uncovered
from gateway.store.sqlite.wal import read_wal

BATCHES_AT_ONCE = 200
LEFT_IN = "records_left_in"
REPORTS_SQL = "SELECT key, value FROM entries WHERE table_name = ? ORDER BY key"
PARTITION_SQL = """
    SELECT number, log_start_offset, (
        SELECT min(id) FROM batches WHERE partition_number = number
    ) FROM partitions WHERE stream = ? AND partition = ?
"""
HEAD_SQL = "UPDATE partitions SET head_id = min(head_id, ?) WHERE number = ?"


class Returned(NamedTuple):
    """What came back from one file."""

    file: str
    batches: int
    records: int


def bring_back(data_dir: Path) -> list[Returned]:
    """Put what was left aside back into the log of a stopped gateway; returns what came back.

    Raises:
        StoreInUse: a gateway has the directory.
        StoreError: a file that was set aside is gone.
        StoreUnavailable: the disk refused, or is full; what is back stays.
    """
    path = data_dir / DATABASE_NAME
    lock = DirectoryLock.take(data_dir)
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            return [
                bring_back_from(connection, data_dir, key, report)
                for key, report in reports_of(connection)
                if LEFT_IN in report
            ]
    except sqlite3.Error as error:
        raise unavailable(error, path) from error
    finally:
        lock.release()


def reports_of(connection: sqlite3.Connection) -> list[tuple[str, dict[str, Any]]]:
    """Every report of damage, with its key."""
    rows = connection.execute(REPORTS_SQL, (REPORT_TABLE,)).fetchall()
    return [(key, orjson.loads(encoded)) for key, encoded in rows]


def bring_back_from(
    connection: sqlite3.Connection, data_dir: Path, key: str, report: dict[str, Any]
) -> Returned:
    """Bring back what one file holds, and note in its report that nothing is left there."""
    source = data_dir / report[LEFT_IN]
    if not source.exists():
        raise StoreError(f"{source} is gone, and the records in it with it")
    batches = records = 0
    for plan in plans_of(source):
        row = connection.execute(PARTITION_SQL, (plan.stream, plan.partition)).fetchone()
        if row is None or row[0] != plan.number:
            continue
        for piece in pieces_of(plan, row[1], row[2]):
            give(connection, plan, piece, (key, report))
            batches += len(piece)
            records += sum(batch.record_count for batch in piece)
    name = report.pop(LEFT_IN)
    connection.execute(REPORT_SQL, (REPORT_TABLE, key, orjson.dumps(report)))
    return Returned(name, batches, records)


def plans_of(source: Path) -> list[PartitionPlan]:
    """What each partition of a damaged file has, in its order."""
    wal = read_wal(source, b"")
    pages = Pages(source, wal.overlay)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as shape:
        for script in MIGRATIONS:
            shape.executescript(script)
        finds = Finds(pages, list(read_tables(shape)), read_roots(shape))
    try:
        finds.search()
        layout, _ = settle_layout(finds)
        return plan_partitions(finds, layout)
    finally:
        pages.close()


def pieces_of(
    plan: PartitionPlan, log_start_offset: int, first_id: int | None
) -> Iterator[Sequence[BatchRow]]:
    """The batches that lie before what the log has of a partition, newest first."""
    missing = iter(
        [
            batch
            for batch in reversed(plan.fenced())
            if (first_id is None or batch.id < first_id) and batch.base_offset >= log_start_offset
        ]
    )
    while piece := list(islice(missing, BATCHES_AT_ONCE)):
        yield piece


def give(
    connection: sqlite3.Connection,
    plan: PartitionPlan,
    piece: Sequence[BatchRow],
    noted: tuple[str, dict[str, Any]],
) -> None:
    """Insert some batches, and take their offsets off the list of what is lost."""
    key, report = noted
    found = sorted((own.base_offset, own.base_offset + own.record_count) for own in piece)
    report["gaps"] = [
        gap | {"start_offset": start, "stop_offset": stop}
        for gap in report["gaps"]
        for start, stop in (
            uncovered(gap["start_offset"], gap["stop_offset"], found)
            if (gap["stream"], gap["partition"]) == (plan.stream, plan.partition)
            else [(gap["start_offset"], gap["stop_offset"])]
        )
    ]
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(insert_sql(1), piece)
    connection.execute(HEAD_SQL, (piece[-1].id, plan.number))
    connection.execute(REPORT_SQL, (REPORT_TABLE, key, orjson.dumps(report)))
    connection.execute("COMMIT")
