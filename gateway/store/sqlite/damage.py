"""Before a log is opened for writing: is it whole, and if it isn't, what takes its place.

Theory of operation. A log that was closed cleanly and is large is believed as far as its newest
commits; a small one is checked completely, since that takes no time. A damaged database is set
aside under a name with the date, never deleted, and what `gateway.store.sqlite.rebuilding` could
save goes on in its place. The new file is complete and synced before the old one is moved, so that
a crash on the way is finished, or begun again, by the next start.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import orjson

from gateway.errors import StoreError
from gateway.store.sqlite.connections import DAMAGED_CODES, primary_code
from gateway.store.sqlite.layout import LAYOUT_NAME, decode_layout
from gateway.store.sqlite.pages import MAGIC, PAGE_BYTES
from gateway.store.sqlite.rebuilding import Salvaged, rebuild
from gateway.store.sqlite.reserve import DiskReserve
from gateway.store.sqlite.rows import COLUMNS, BatchRow, is_intact
from gateway.store.sqlite.schema import APPLICATION_ID, FENCE_SPAN, FORMAT_VERSION
from gateway.store.sqlite.wal import may_overlook, read_beside, read_index, read_wal
from gateway.store.syncing import sync_directory, sync_file

CHECKED_WHOLLY_BYTES_MAX = 32 << 20
APPLICATION_ID_AT = 68
SCHEMA_SIGN = b"CREATE TABLE batches"
SIGN_BYTES = 16 * PAGE_BYTES
OUR_TABLES = {"streams", "partitions", "batches"}
NEWER_VERSIONS_MAX = 10_000
"""A version beyond ours by less than this is that of a later program."""

REPORT_TABLE = "damage"
REPORT_SQL = "INSERT OR REPLACE INTO entries (table_name, key, value) VALUES (?, ?, ?)"

Reader = sqlite3.Connection


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error of SQLite's says that the file itself is broken."""
    return primary_code(error) in DAMAGED_CODES or "malformed" in str(error)


def mend(
    path: Path, now_ms: int, finding: str | None = None, *, trusts_index: bool = True
) -> str | None:
    """See that the log at `path` is whole, or put what can be saved of it in its place.

    Returns what was found and done; None when nothing was wrong. Blocks. With a `finding` the log
    is known not to be whole. After a power cut the WAL's index tells nothing: it is memory, and
    may name commits that were never meant to outlast one.

    Raises:
        StoreError: there is no room for a copy, or the disk refused.
    """
    finish_exchange(path)
    if not path.exists():
        return None
    index = read_index(path) if trusts_index else b""
    finding = finding or find_damage(path, index)
    return None if finding is None else replace(path, index, finding, now_ms)


def find_damage(path: Path, index: bytes) -> str | None:
    """What is wrong with the log, in a few words; None when nothing is, or it is none of ours."""
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        has_wal = bool(read_wal(path, index).frames)
        return "the database is empty, and its WAL is not" if has_wal else None
    if has_sign(path):
        if size_bytes % PAGE_BYTES and not is_being_moved(path, index, size_bytes):
            return "the database doesn't end with a page"
        return ask_sqlite(path, index, size_bytes)
    return None


def is_being_moved(path: Path, index: bytes, size_bytes: int) -> bool:
    """Whether the last page was being moved out of the WAL, where it still is, at a power cut."""
    return size_bytes // PAGE_BYTES + 1 in read_wal(path, index).overlay


def ask_sqlite(path: Path, index: bytes, size_bytes: int) -> str | None:
    """What SQLite finds wrong with the log, or overlooks."""
    try:
        with closing(connect(path)) as connection:
            finding = find_in_tables(connection, size_bytes)
            if finding is None and may_overlook(path, index):
                wal = read_wal(path, index)
                finding = "the WAL has damaged frames" if wal.is_overlooked else None
            return finding
    except sqlite3.Error as error:
        if is_damage(error) or "no such table" in str(error):
            return str(error)
        return None
    except (TypeError, ValueError, OverflowError) as error:
        return f"a row can't be read: {error}"


def has_sign(path: Path) -> bool:
    """Whether something in the first pages says that the file is one of ours."""
    with path.open("rb") as file:
        start = file.read(SIGN_BYTES)
    is_short = len(start) < PAGE_BYTES and MAGIC.startswith(start[: len(MAGIC)])
    own_id = start[APPLICATION_ID_AT : APPLICATION_ID_AT + 4]
    if is_short or own_id == APPLICATION_ID.to_bytes(4, "big") or SCHEMA_SIGN in start:
        return True
    return SCHEMA_SIGN in read_beside(path, "-wal", SIGN_BYTES)


def connect(path: Path) -> Reader:
    """A connection without the right to write, for this moment."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)


def find_in_tables(connection: Reader, size_bytes: int) -> str | None:
    """What the database itself shows to be wrong."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if not tables:
        return None
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if not tables >= OUR_TABLES:
        return "tables are missing" if application_id == APPLICATION_ID else None
    if FORMAT_VERSION < version <= FORMAT_VERSION + NEWER_VERSIONS_MAX:
        return find_in_newer(connection)
    if application_id != APPLICATION_ID:
        return "the database has lost its mark"
    findings = [*find_in_layout(connection, version), *find_in_newest(connection)]
    if not findings and size_bytes <= CHECKED_WHOLLY_BYTES_MAX:
        findings = [*find_in_trees(connection), *find_in_batches(connection)]
    return findings[0] if findings else None


def find_in_newer(connection: Reader) -> str | None:
    """Whether a version above ours is a broken one of ours: the copy of the layout tells."""
    try:
        ((copy,),) = connection.execute("SELECT value FROM meta WHERE name = ?", (LAYOUT_NAME,))
        layout = decode_layout(copy)
    except (sqlite3.Error, TypeError, ValueError):
        # A later program may keep it otherwise.
        return None
    is_ours = layout is not None and layout.format_version <= FORMAT_VERSION
    return "the version is not that of its copy" if is_ours else None


def find_in_layout(connection: Reader, version: int) -> Iterator[str]:
    """Compare streams, partitions and version with their copy."""
    rows = connection.execute("SELECT value FROM meta WHERE name = ?", (LAYOUT_NAME,)).fetchall()
    if not rows:
        return
    layout = decode_layout(rows[0][0])
    if layout is None:
        yield "the copy of streams and partitions doesn't match its checksum"
        return
    if layout.format_version != version:
        yield "the version is not that of its copy"
    streams = connection.execute("SELECT name, partitions, durability FROM streams").fetchall()
    partitions = connection.execute("SELECT number, stream, partition FROM partitions").fetchall()
    if sorted(streams) != sorted(
        (own.name, own.partitions, own.durability) for own in layout.streams
    ):
        yield "the streams are not those of their copy"
    if sorted(partitions) != sorted(layout.partitions):
        yield "the partitions are not those of their copy"


def find_in_newest(connection: Reader) -> Iterator[str]:
    """See that the last commits, which say where each partition ends, are what was written."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM batches WHERE id > (SELECT max(id) FROM batches) - {FENCE_SPAN}"  # noqa: S608 - constants
    )
    for row in rows:
        if not is_intact(BatchRow(*row)):
            yield f"batch {row[0]} doesn't match its checksum"


def find_in_trees(connection: Reader) -> Iterator[str]:
    """Have SQLite walk every page."""
    for (line,) in connection.execute("PRAGMA integrity_check(1)"):
        if line != "ok":
            yield line.replace("\n", " ")


def find_in_batches(connection: Reader) -> Iterator[str]:
    """Check every batch, and that retention's notes agree with what is there."""
    starts: dict[int, tuple[int, int]] = {}
    for row in connection.execute(f"SELECT {COLUMNS} FROM batches ORDER BY id"):  # noqa: S608 - names
        batch = BatchRow(*row)
        if not is_intact(batch):
            yield f"batch {batch.id} doesn't match its checksum"
            return
        starts.setdefault(batch.partition_number, (batch.base_offset, batch.id))
    for number, start_offset, head_id in connection.execute(
        "SELECT number, log_start_offset, head_id FROM partitions"
    ):
        first = starts.get(number)
        if first is not None and (start_offset > first[0] or head_id > first[1]):
            yield f"partition {number} doesn't begin where it says"


def replace(path: Path, index: bytes, finding: str, now_ms: int) -> str:
    """Save what can be saved to a new file, and exchange it for the damaged one.

    Raises:
        StoreError: there is no room for a copy, or the disk refused; nothing was moved.
    """
    draft = path.with_name(path.name + ".rebuilding")
    draft.unlink(missing_ok=True)
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    aside = unused(path.with_name(f"{path.name}.damaged-{moment:%Y%m%dT%H%M%SZ}"))

    def write(*, keeps_records: bool) -> Salvaged:
        try:
            salvaged = rebuild(path, draft, index, now_ms, keeps_records=keeps_records)
            note(draft, aside, finding, salvaged, moment)
            sync_file(draft)
        except (sqlite3.Error, OSError):
            draft.unlink(missing_ok=True)
            raise
        return salvaged

    try:
        salvaged = write_as_room_allows(path.parent, write)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(
            f"{path} is damaged ({finding}) and can't be saved to a new file: {error}; "
            f"free {path.stat().st_size} bytes and start again, nothing was touched"
        ) from error
    draft.rename(rebuilt_name(path))
    sync_directory(path.parent)
    path.rename(aside)
    sync_directory(path.parent)
    finish_exchange(path)
    return f"{path} was damaged ({finding}) and is kept as {aside.name}; {salvaged}"


def write_as_room_allows(data_dir: Path, write: Callable[..., Salvaged]) -> Salvaged:
    """Write a new file with everything, or without the records where there is no room for them.

    The room that is kept for control data is given up for that.

    Raises:
        sqlite3.Error, OSError: there is no room for that either, or the disk refused.
    """
    try:
        return write(keeps_records=True)
    except (sqlite3.Error, OSError) as error:
        if not is_for_want_of_room(error):
            raise
    DiskReserve(data_dir, 0).give_up()
    return write(keeps_records=False)


def is_for_want_of_room(error: sqlite3.Error | OSError) -> bool:
    """Whether an error says that the disk is full."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return primary_code(error) == sqlite3.SQLITE_FULL or "disk is full" in str(error)


def note(draft: Path, aside: Path, finding: str, salvaged: Salvaged, moment: datetime) -> None:
    """Leave a report in the new log, where people and programs find it."""
    report = {
        "time": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        "finding": finding,
        "set_aside": aside.name,
        "records_saved": salvaged.record_count,
        "batches_saved": salvaged.batch_count,
        "pages_damaged": salvaged.damaged_pages,
        "wal_frames_lost": salvaged.lost_frames,
        "batches_damaged": salvaged.damaged_batches,
        "gaps": [own._asdict() for own in salvaged.stretches],
    }
    if salvaged.left_batches is not None:
        report["records_left_in"] = aside.name
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.execute(REPORT_SQL, (REPORT_TABLE, report["time"], orjson.dumps(report)))


def finish_exchange(path: Path) -> None:
    """Complete an exchange that a crash has interrupted, or forget one that had moved nothing."""
    rebuilt = rebuilt_name(path)
    if not rebuilt.exists():
        return
    if path.exists():
        rebuilt.unlink()
        return
    aside = max(path.parent.glob(f"{path.name}.damaged-*[Z0-9]"), default=path)
    for suffix in ("-wal", "-shm"):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + suffix))
    rebuilt.rename(path)
    sync_directory(path.parent)


def rebuilt_name(path: Path) -> Path:
    """Where the new database waits, complete, for the old one to be moved."""
    return path.with_name(path.name + ".rebuilt")


def unused(path: Path) -> Path:
    """The path, with a number when there is one of that name already."""
    number = 1
    candidate = path
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate
