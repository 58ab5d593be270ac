"""Making a sound database of what was found in a damaged one.

Theory of operation. Batches keep their ids, offsets and bodies; what leads to them (fences, heads,
log starts) is worked out anew. Offsets are never given out twice: each partition goes on behind the
highest offset that anything names, and further yet, by more than what was lost can have held. A
batch of no records at that place makes it so, and readers meet the stretch before it as a gap.
Where the pages prove that a partition's last batch was its last, it simply goes on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from gateway.store.batch_format import BatchCompressor, pack
from gateway.store.protocol import StreamSpec
from gateway.store.sqlite.layout import LAYOUT_NAME, Layout, decode_layout, encode_layout
from gateway.store.sqlite.pages import Pages, Value
from gateway.store.sqlite.rows import BatchRow, checksum_of
from gateway.store.sqlite.salvage import EVERY_ID, Finds, Row, read_roots, read_tables
from gateway.store.sqlite.schema import (
    APPLICATION_ID,
    FENCE_SPAN,
    FORMAT_VERSION,
    MIGRATIONS,
    batch_id,
    commit_no_of,
)
from gateway.store.sqlite.wal import read_wal

RECORDS_LOST_MAX = 1 << 20
"""More records than one lost page or frame can have held."""

COMMIT_NO_MAX = 1 << 48
OFFSET_MAX = 1 << 60
UNKNOWN_STREAM = "recovered-{}"
COUNT_COLUMNS = ("log_start_offset", "head_id", "removed_to_ms")


class LostStretch(NamedTuple):
    """Offsets of a partition that held records which are lost.

    Of those in a jump nobody can say whether they were ever given out.
    """

    stream: str
    partition: int
    start_offset: int
    stop_offset: int
    is_jump: bool = False

    def __str__(self) -> str:
        return f"{self.stream}/{self.partition} {self.start_offset} to {self.stop_offset - 1}"


@dataclass(slots=True)
class Salvaged:
    """What came out of a damaged file."""

    damaged_pages: int
    lost_frames: int
    damaged_batches: int
    batch_count: int = 0
    record_count: int = 0
    row_count: int = 0
    stretches: list[LostStretch] = field(default_factory=list)
    left_batches: int | None = None
    """How many batches could have been saved, had there been room for them."""

    def __str__(self) -> str:
        left = ""
        if self.left_batches is not None:
            left = f"for want of room {self.left_batches} batches stay where they are; "
        return (
            f"{left}saved {self.record_count} records in {self.batch_count} batches and "
            f"{self.row_count} rows of other tables; not readable: {self.damaged_pages} pages, "
            f"{self.lost_frames} frames of the WAL, {self.damaged_batches} batches; "
            f"offsets given up: {', '.join(map(str, self.stretches)) or 'none'}"
        )


class PartitionPlan:
    """A partition as it will be."""

    def __init__(self, number: int, stream: str, partition: int) -> None:
        self.number = number
        self.stream = stream
        self.partition = partition
        self.batches: list[BatchRow] = []
        self.row: Row = {}
        self.seen_end = 0
        self.closing_id: int | None = None

    def settle(self) -> None:
        """Put the batches in order, and find where the partition begins and ends."""
        floor = as_count(self.row.get("log_start_offset"))
        starts = {batch.base_offset for batch in self.batches}
        ordered = []
        end = 0
        for batch in sorted(self.batches):
            # What retention removed may still lie in a page that nobody has written again.
            is_removed = floor in starts and batch.base_offset < floor
            if not is_removed and batch.base_offset >= end:
                ordered.append(batch)
                end = batch.base_offset + batch.record_count
        self.batches = ordered
        first = ordered[0].base_offset if ordered else floor
        self.log_start_offset = min(floor, first)
        self.seen_end = max(end, self.log_start_offset)

    def hear_of(self, end_offset: int, reach: int) -> None:
        """Take note of an offset that something names, unless it is out of reach."""
        if self.seen_end < end_offset <= self.seen_end + reach:
            self.seen_end = end_offset

    def close(self, identity: int, jump: int) -> None:
        """End with a batch of no records behind everything that may have been there."""
        self.closing_id = identity
        last = self.batches[-1] if self.batches else None
        last_ms = last.last_ms if last else as_count(self.row.get("removed_to_ms"))
        log_bytes = last.log_bytes if last else 0
        body = BatchCompressor().compress(pack([]))
        base_offset = self.seen_end + jump
        columns = (identity, self.number, base_offset, 0, last_ms, last_ms, 0, log_bytes)
        self.batches.append(BatchRow(*columns, 0, checksum_of(columns, body), body))

    def leave_batches(self) -> int:
        """Keep only the batch at which the partition goes on; returns how many there were."""
        *left, closing = self.batches
        self.batches = [closing]
        return len(left)

    def ends_at(self, doubtful_id: int) -> bool:
        """Whether the last batch is known to be the last, if none behind `doubtful_id` is lost."""
        last = self.batches[-1] if self.batches else None
        return (
            last is not None
            and last.id >= doubtful_id
            and last.base_offset + last.record_count == self.seen_end
        )

    def fenced(self) -> list[BatchRow]:
        """The batches, with a fence wherever there must be one."""
        fence_id: int | None = None
        fenced = []
        for batch in self.batches:
            is_fence = fence_id is None or batch.id >= fence_id + FENCE_SPAN
            fence_id = batch.id if is_fence else fence_id
            fenced.append(batch._replace(is_fence=int(is_fence)))
        return fenced

    def stretches(self) -> list[LostStretch]:
        """The offsets that no batch has."""
        lost = []
        end = self.log_start_offset
        for batch in self.batches:
            # A batch of no records ends a jump, which begins where nothing names an offset.
            known_end = batch.base_offset
            if not batch.record_count:
                known_end = self.seen_end if batch.id == self.closing_id else end
            for start, stop, is_jump in (
                (end, known_end, False),
                (known_end, batch.base_offset, True),
            ):
                if start < stop:
                    lost.append(LostStretch(self.stream, self.partition, start, stop, is_jump))
            end = batch.base_offset + batch.record_count
        return lost


def rebuild(
    source: Path, target: Path, index: bytes, now_ms: int, *, keeps_records: bool = True
) -> Salvaged:
    """Write what can be read of the damaged database `source` to a new one at `target`.

    `index` is what `read_index` returned before SQLite opened `source`. Unless `keeps_records`,
    the records are left where they are: each partition goes on behind them.

    Raises:
        sqlite3.Error: the disk refused; `target` is of no use.
        OSError: `source` can't be read at all.
    """
    wal = read_wal(source, index)
    pages = Pages(source, wal.overlay)
    connection = sqlite3.connect(target, isolation_level=None)
    try:
        for script in MIGRATIONS:
            connection.executescript(script)
        finds = Finds(pages, list(read_tables(connection)), read_roots(connection))
        finds.search()
        if wal.lost_count:
            finds.take_versions((own.page_number, own.page) for own in reversed(wal.frames))
            finds.take_versions(pages.replaced())
        salvaged = Salvaged(len(pages.damaged), wal.lost_count, len(finds.suspects))
        salvaged.left_batches = None if keeps_records else 0
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        write(connection, finds, salvaged, now_ms)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        connection.execute("COMMIT")
    finally:
        connection.close()
        pages.close()
    return salvaged


def write(connection: sqlite3.Connection, finds: Finds, salvaged: Salvaged, now_ms: int) -> None:
    """Fill a new database with what was found."""
    layout, is_known = settle_layout(finds)
    if not is_known:
        # Streams that nothing names any more must not begin where they once began. No gateway has
        # taken more records than milliseconds have passed since 1970.
        finds.rows["meta"]["offset_floor",] = {"name": "offset_floor", "value": now_ms}
    plans = plan_partitions(finds, layout)
    lost_count = 1 + salvaged.damaged_pages + salvaged.lost_frames + salvaged.damaged_batches
    commit_no = last_commit_no(finds) + lost_count
    doubtful_id = EVERY_ID if salvaged.lost_frames else finds.doubtful_id
    for place, plan in enumerate(plans):
        is_certain = plan.ends_at(doubtful_id)
        if not is_certain or salvaged.left_batches is not None:
            jump = 0 if is_certain else RECORDS_LOST_MAX * lost_count
            plan.close(batch_id(commit_no, place), jump)
        if salvaged.left_batches is not None:
            salvaged.left_batches += plan.leave_batches()
        salvaged.batch_count += sum(batch.record_count > 0 for batch in plan.batches)
        salvaged.stretches += plan.stretches()
        salvaged.record_count += sum(batch.record_count for batch in plan.batches)
    batches = sorted(batch for plan in plans for batch in plan.fenced())
    marks = ", ".join("?" * len(BatchRow._fields))
    connection.executemany(f"INSERT INTO batches VALUES ({marks})", batches)  # noqa: S608 - marks
    write_layout(connection, finds, layout, plans)
    write_groups(finds, plans)
    for name, rows in finds.rows.items():
        salvaged.row_count += insert_rows(connection, name, rows.values())


def settle_layout(finds: Finds) -> tuple[Layout, bool]:
    """Streams and partitions by their copy, if it is whole, else by what the tables have left.

    Says also whether that is all there were.
    """
    copy = decode_layout(finds.rows["meta"].get((LAYOUT_NAME,), {}).get("value"))
    if copy is not None:
        return with_unknown(copy, finds), True
    by_key = {
        (str(row["stream"]), as_count(row["partition"])): as_count(row["number"])
        for row in finds.rows["partitions"].values()
        if "stream" in row and "partition" in row
    }
    counts = {
        str(row["name"]): as_count(row["partitions"]) for row in finds.rows["streams"].values()
    }
    for stream, partition in by_key:
        counts[stream] = max(counts.get(stream, 1), partition + 1)
    partitions = []
    for stream, count in sorted(counts.items()):
        known = [(own[1], number) for own, number in by_key.items() if own[0] == stream]
        if not known:
            continue
        # The partitions of a stream were numbered in one go.
        partition, number = min(known)
        partitions += [(number - partition + own, stream, own) for own in range(count)]
    named = {own[1] for own in partitions}
    streams = [
        StreamSpec(name, count, retention_age_ms=None)
        for name, count in sorted(counts.items())
        if name in named
    ]
    return with_unknown(Layout(streams, partitions), finds), False


def with_unknown(layout: Layout, finds: Finds) -> Layout:
    """The layout with a stream of its own for each partition that has batches and no name."""
    named = {number for number, _, _ in layout.partitions}
    unknown = sorted({row.partition_number for row in finds.batches.values()} - named)
    names = {number: UNKNOWN_STREAM.format(number) for number in unknown}
    return Layout(
        [
            *layout.streams,
            *(StreamSpec(name, 1, retention_age_ms=None) for name in names.values()),
        ],
        [*layout.partitions, *((number, name, 0) for number, name in names.items())],
    )


def plan_partitions(finds: Finds, layout: Layout) -> list[PartitionPlan]:
    """Give each partition its batches, in merge order of the partitions."""
    plans = {own[0]: PartitionPlan(*own) for own in layout.partitions}
    for row in finds.rows.pop("partitions", {}).values():
        plan = plans.get(as_count(row.get("number")))
        if plan is not None:
            plan.row = row
    for batch in finds.batches.values():
        plans[batch.partition_number].batches.append(batch)
    for plan in plans.values():
        plan.settle()
    hear_of_ends(finds, list(plans.values()))
    return sorted(plans.values(), key=lambda plan: (plan.stream, plan.partition))


def hear_of_ends(finds: Finds, plans: Sequence[PartitionPlan]) -> None:
    """Tell each partition how far damaged batches and consumer groups say that it went."""
    reach = RECORDS_LOST_MAX * (1 + len(finds.suspects))
    by_number = {plan.number: plan for plan in plans}
    by_key = {(plan.stream, plan.partition): plan for plan in plans}
    for own in finds.suspects:
        plan = by_number.get(as_count(own.partition_number))
        if plan is not None:
            plan.hear_of(as_count(own.base_offset) + as_count(own.record_count), reach)
    for row in finds.rows["group_offsets"].values():
        plan = by_key.get((str(row.get("stream")), as_count(row.get("partition"))))
        if plan is not None:
            plan.hear_of(as_count(row.get("committed_offset")), reach)


def last_commit_no(finds: Finds) -> int:
    """The highest commit number that anything names."""
    noted = as_count(finds.rows["meta"].get(("commit_no",), {}).get("value"))
    highest = max(finds.batches, default=0)
    return max(commit_no_of(highest), noted if noted < COMMIT_NO_MAX else 0)


def write_layout(
    connection: sqlite3.Connection, finds: Finds, layout: Layout, plans: Sequence[PartitionPlan]
) -> None:
    """Write streams and partitions, and their copy."""
    rows = finds.rows.pop("streams", {})
    streams = [
        rows.get((own.name,), {})
        | {"name": own.name, "partitions": own.partitions, "durability": own.durability}
        for own in layout.streams
    ]
    insert_rows(connection, "streams", streams)
    insert_rows(
        connection,
        "partitions",
        [
            plan.row
            | {
                "number": plan.number,
                "stream": plan.stream,
                "partition": plan.partition,
                "log_start_offset": plan.log_start_offset,
                "head_id": plan.batches[0].id,
                "removed_to_ms": as_count(plan.row.get("removed_to_ms")),
            }
            for plan in plans
        ],
    )
    copy: Row = {"name": LAYOUT_NAME, "value": encode_layout(layout)}
    finds.rows["meta"][LAYOUT_NAME,] = copy


def write_groups(finds: Finds, plans: Sequence[PartitionPlan]) -> None:
    """See that each group's offsets lie in the log, and that each group is there."""
    by_key = {(plan.stream, plan.partition): plan for plan in plans}
    for key, row in list(finds.rows["group_offsets"].items()):
        plan = by_key.get((str(row.get("stream")), as_count(row.get("partition"))))
        if plan is None:
            del finds.rows["group_offsets"][key]
            continue
        last = plan.batches[-1]
        end_offset = last.base_offset + last.record_count
        if not 0 <= as_count(row.get("committed_offset")) <= end_offset:
            row["committed_offset"] = plan.log_start_offset
        if not is_consistent(row):
            row |= {"since_offset": row["committed_offset"], "passed": 0, "returned": 0}
        group = row["group_name"]
        finds.rows["groups"].setdefault((group,), {"name": group, "generation": 1})


def is_consistent(row: Row) -> bool:
    """Whether a group's counts lead to its offset."""
    since, passed, returned = map(as_count, map(row.get, ("since_offset", "passed", "returned")))
    return since + passed - returned == row.get("committed_offset")


def insert_rows(connection: sqlite3.Connection, table: str, rows: Iterable[Row]) -> int:
    """Insert rows, whichever columns they have; return how many the table took."""
    count = 0
    for row in rows:
        marks = ", ".join("?" * len(row))
        sql = f"INSERT OR IGNORE INTO {table} ({', '.join(row)}) VALUES ({marks})"  # noqa: S608 - names
        count += connection.execute(sql, list(row.values())).rowcount
    return count


def as_count(value: Value) -> int:
    """The value if it is a number that one of ours can be, else 0."""
    return value if isinstance(value, int) and 0 <= value <= OFFSET_MAX else 0
