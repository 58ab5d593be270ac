"""Proving a data directory sound, or naming what is not; beside a running gateway or without one.

Everything is read in one snapshot, so that nobody's commits count as faults. The same pass draws
the canonical hash of each stream, which depends on its records alone: two directories with the same
hash replay the same.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from gateway.errors import StoreUnavailable
from gateway.events import Record, RecordBatch
from gateway.store.batch_format import BatchDamaged
from gateway.store.blobs.files import DIGEST, BlobStore
from gateway.store.blobs.references import decode_reference
from gateway.store.cursors import Key
from gateway.store.sqlite.damage import find_in_layout
from gateway.store.sqlite.rebuilding import RECORDS_LOST_MAX
from gateway.store.sqlite.reservations import Reservation, decode_reservations
from gateway.store.sqlite.rows import COLUMNS, BatchRow, decode_row, is_intact
from gateway.store.sqlite.schema import DATABASE_NAME, FENCE_SPAN
from gateway.store.sqlite.stretches import Stretch, merged, uncovered

FAULTS_SHOWN_MAX = 1000
REPORTS_SQL = "SELECT value FROM entries WHERE table_name = 'damage' ORDER BY key"
OFFSETS_SQL = "SELECT group_name, stream, partition, committed_offset FROM group_offsets"
UNWRITTEN_SQL = "SELECT key, value FROM entries WHERE table_name = 'unwritten' ORDER BY key"
COUNTS_SQL = """
    SELECT group_name, stream, partition, since_offset, passed, returned, committed_offset
    FROM group_offsets ORDER BY group_name, stream, partition
"""


@dataclass(slots=True)
class PartitionCheck:
    """What was seen of one partition."""

    stream: str
    partition: int
    number: int
    log_start_offset: int
    head_id: int
    next_offset: int
    records: int = 0
    compacted: int = 0
    last_ms: int = 0
    fence_id: int | None = None
    gaps: list[Stretch] = field(default_factory=list)
    ahead: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Of each offset at which a group stands: the records from it on, and those compacted."""
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    claims: dict[str, int] = field(default_factory=dict)
    """Of each blob that records refer to, the first of them."""


@dataclass(slots=True)
class Verdict:
    """What a data directory holds, what is known to be lost, and what is wrong with it."""

    partitions: dict[Key, PartitionCheck] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    batch_count: int = 0
    blob_count: int = 0
    reservations: dict[Key, Reservation] = field(default_factory=dict)
    """Of memory streams: how far they may have gone, and what they have lost."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong; what an earlier report has named counts no more."""
        return not self.faults

    def fault(self, text: str) -> None:
        """Take note of something wrong."""
        if len(self.faults) < FAULTS_SHOWN_MAX:
            self.faults.append(text)

    def summary(self) -> dict[str, Any]:
        """Everything for people and programs."""
        streams: dict[str, Any] = {}
        for key in sorted(self.partitions):
            own = self.partitions[key]
            shown = streams.setdefault(
                own.stream, {"hash": self.stream_hash(own.stream), "records": 0, "next_offsets": []}
            )
            shown["records"] += own.records
            shown["next_offsets"].append(own.next_offset)
        return {
            "sound": self.is_sound,
            "faults": self.faults,
            "batches": self.batch_count,
            "blobs": self.blob_count,
            "streams": streams,
            "damage_reports": self.reports,
        }

    def stream_hash(self, stream: str) -> str:
        """The hash over all partitions of a stream, and their next offsets."""
        whole = hashlib.sha256()
        for key in sorted(self.partitions):
            own = self.partitions[key]
            if own.stream == stream:
                whole.update(own.digest.digest() + own.next_offset.to_bytes(8, "big"))
        return whole.hexdigest()


def verify(data_dir: Path) -> Verdict:
    """Read everything in a data directory and see whether it agrees.

    Raises:
        StoreUnavailable: there is no log.
        StoreError: it can't be read at all, or is not ours.
    """
    with closing(connect_snapshot(data_dir / DATABASE_NAME)) as connection:
        return examine(connection)


def examine(connection: sqlite3.Connection) -> Verdict:
    """Do as `verify` in the snapshot of a connection, which stays open."""
    verdict = Verdict()
    try:
        connection.execute("BEGIN")
        verdict.reports = [orjson.loads(row[0]) for row in connection.execute(REPORTS_SQL)]
        for (line,) in connection.execute("PRAGMA integrity_check"):
            if line != "ok":
                verdict.fault(f"database: {line}")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for finding in find_in_layout(connection, version):
            verdict.fault(f"catalogue: {finding}")
        read_reservations(connection, verdict)
        check_batches(connection, verdict)
        check_gaps(verdict)
        check_groups(connection, verdict)
    except sqlite3.Error as error:
        verdict.fault(f"database: {error}")
    return verdict


def read_reservations(connection: sqlite3.Connection, verdict: Verdict) -> None:
    """Learn what memory streams may hold beyond the file."""
    for row in connection.execute(UNWRITTEN_SQL):
        try:
            verdict.reservations.update(decode_reservations(iter([row])))
        except (ValueError, TypeError, KeyError):
            verdict.fault(f"the note of what {row[0]} holds in memory is not what was written")


def connect_snapshot(path: Path) -> sqlite3.Connection:
    """A connection that reads, beside a writer or after one."""
    if not path.exists() or not path.stat().st_size:
        raise StoreUnavailable(
            f"there is no log in {path.parent} ({path.name} is missing); "
            "name the data directory of a gateway"
        )
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None
    )
    connection.text_factory = lambda text: text.decode(errors="replace")
    return connection


def check_batches(connection: sqlite3.Connection, verdict: Verdict) -> None:
    """Walk over every batch: checksum, offsets, times, fences; and draw the hash."""
    known = {own for report in verdict.reports for own in report.get("batches", ())}
    by_number = prepare_checks(connection, verdict)
    for columns in connection.execute(f"SELECT {COLUMNS} FROM batches ORDER BY id"):  # noqa: S608 - names
        row = BatchRow(*columns)
        verdict.batch_count += 1
        check = by_number.get(row.partition_number)
        if check is None:
            verdict.fault(f"batch {row.id}: no partition has number {row.partition_number!r}")
            continue
        if row.id in known and not is_intact(row):
            step_over(row, check)
            continue
        try:
            batches = decode_row(row, check.stream, check.partition)
        except BatchDamaged as error:
            verdict.fault(f"{check.stream}/{check.partition}: {error}")
            continue
        for complaint in check_place(row, check):
            verdict.fault(f"{check.stream}/{check.partition}: batch {row.id} {complaint}")
        take(batches, row, check)


def prepare_checks(connection: sqlite3.Connection, verdict: Verdict) -> dict[int, PartitionCheck]:
    """A check of each partition, by number, that knows where groups stand."""
    by_number: dict[int, PartitionCheck] = {}
    for number, stream, partition, start, head_id in connection.execute(
        "SELECT number, stream, partition, log_start_offset, head_id FROM partitions"
    ):
        own = PartitionCheck(stream, partition, number, start, head_id, start)
        by_number[number] = verdict.partitions[stream, partition] = own
    for _, stream, partition, offset in connection.execute(OFFSETS_SQL):
        if (stream, partition) in verdict.partitions:
            verdict.partitions[stream, partition].ahead[offset] = (0, 0)
    return by_number


def step_over(row: BatchRow, check: PartitionCheck) -> None:
    """Go on behind a damaged batch that was reported, as its report says or the next one shows."""
    end_offset = row.base_offset + row.record_count
    if end_offset > check.next_offset and row.base_offset <= check.next_offset:
        check.gaps.append((check.next_offset, end_offset))
        check.next_offset = end_offset
    if row.is_fence:
        check.fence_id = row.id


def check_place(row: BatchRow, check: PartitionCheck) -> Iterator[str]:
    """See that a batch follows the one before it."""
    if row.base_offset < check.next_offset:
        yield f"begins at offset {row.base_offset}, before {check.next_offset}"
    elif row.base_offset > check.next_offset:
        check.gaps.append((check.next_offset, row.base_offset))
    if row.first_ms < check.last_ms or row.last_ms < row.first_ms:
        yield "arrived before the one before it"
    is_due = check.fence_id is None or row.id >= check.fence_id + FENCE_SPAN
    is_near_head = check.fence_id is None and row.id < check.head_id + FENCE_SPAN
    if is_due and not row.is_fence and not is_near_head:
        yield "can't be found: it should be a fence"
    if row.is_fence:
        check.fence_id = row.id


def take(batches: Sequence[RecordBatch], row: BatchRow, check: PartitionCheck) -> None:
    """Count what a row holds, and add its records to the hash."""
    count = sum(batch.count for batch in batches)
    check.records += count
    check.compacted += row.record_count - count
    note_ahead(batches, row, check)
    check.next_offset = max(check.next_offset, row.base_offset + row.record_count)
    check.last_ms = max(check.last_ms, row.last_ms)
    for record in chain.from_iterable(batch.records() for batch in batches):
        if record.is_claim:
            note_claim(record, check)
        for part in (
            b"%d %d %d" % (record.offset, record.arrival_ms, record.flags),
            record.topic.encode(),
            record.device.encode(),
            record.client.encode(),
            record.properties,
            record.payload,
        ):
            check.digest.update(len(part).to_bytes(4, "big") + part)


def note_claim(record: Record, check: PartitionCheck) -> None:
    """Remember the blob that holds a record's payload."""
    reference = decode_reference(record.payload)
    digest = "" if reference is None else reference.digest
    check.claims.setdefault(digest, record.offset)


def check_blobs(blobs: BlobStore, verdict: Verdict) -> None:
    """See that every payload that lies in a blob is there and whole."""
    whole: dict[str, bool] = {}
    for own in verdict.partitions.values():
        for digest, offset in own.claims.items():
            if digest not in whole:
                whole[digest] = bool(DIGEST.fullmatch(digest)) and blobs.prove(digest) is not None
            if not whole[digest]:
                verdict.fault(
                    f"{own.stream}/{own.partition}@{offset}: its blob {digest} is gone or damaged"
                )
    verdict.blob_count = sum(whole.values())


def note_ahead(batches: Sequence[RecordBatch], row: BatchRow, check: PartitionCheck) -> None:
    """Count what a row holds for each group that stands before its end."""
    end_offset = row.base_offset + row.record_count
    for offset, (stored, compacted) in check.ahead.items():
        if offset < end_offset:
            count = sum(
                max(own.base_offset + own.count - max(own.base_offset, offset), 0)
                for own in batches
            )
            span = end_offset - max(row.base_offset, offset)
            check.ahead[offset] = (stored + count, compacted + span - count)


def check_gaps(verdict: Verdict) -> None:
    """See that every hole in the offsets is one that an earlier report of damage has named."""
    known = reported(verdict)
    for key, own in verdict.partitions.items():
        named = merged(known[key].lost + known[key].jumps)
        for gap in own.gaps:
            for start, stop in uncovered(*gap, named):
                verdict.fault(f"{key[0]}/{key[1]}: offsets {start} to {stop - 1} are missing")


class Reported(NamedTuple):
    """What reports of damage have named of one partition: records lost, and offsets left out."""

    lost: list[Stretch]
    jumps: list[Stretch]


def reported(verdict: Verdict) -> defaultdict[Key, Reported]:
    """The offsets that each partition has given up.

    Of what memory alone has held nobody can say how much it was: all of it is a jump.
    """
    found: defaultdict[Key, Reported] = defaultdict(lambda: Reported([], []))
    for key, reservation in verdict.reservations.items():
        found[key].jumps.extend(reservation.lost)
    for report in verdict.reports:
        for gap in report.get("gaps", ()):
            own = found[gap["stream"], gap["partition"]]
            stretch = (gap["start_offset"], gap["stop_offset"])
            # Reports of before that was noted: nothing else is as wide.
            is_jump = gap.get("is_jump", stretch[1] - stretch[0] >= RECORDS_LOST_MAX)
            (own.jumps if is_jump else own.lost).append(stretch)
    for key, own in found.items():
        jumps = merged(own.jumps)
        lost = [rest for stretch in merged(own.lost) for rest in uncovered(*stretch, jumps)]
        found[key] = Reported(lost, jumps)
    return found


def end_of(own: PartitionCheck, verdict: Verdict) -> int:
    """How far somebody may have read: memory streams are ahead of the file."""
    reservation = verdict.reservations.get((own.stream, own.partition))
    return max(own.next_offset, reservation.reserved if reservation else 0)


def check_groups(connection: sqlite3.Connection, verdict: Verdict) -> None:
    """See that no group has committed more than there is, or than it has passed."""
    for group, stream, partition, since, passed, returned, offset in connection.execute(COUNTS_SQL):
        counted = since + passed - returned
        if counted != offset:
            verdict.fault(
                f"group {group!r}: {stream}/{partition} has offset {offset}, but its counts "
                f"lead to {counted}: since {since}, passed {passed}, returned {returned}"
            )
        own = verdict.partitions.get((stream, partition))
        if own is None:
            verdict.fault(f"group {group!r}: {stream}/{partition} doesn't exist")
        elif not 0 <= offset <= end_of(own, verdict):
            verdict.fault(
                f"group {group!r}: {stream}/{partition} ends at {own.next_offset}, "
                f"its committed offset is {offset}"
            )
