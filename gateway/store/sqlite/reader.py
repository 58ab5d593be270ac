"""Reading the log: by offset, by time, and merged over partitions; in any process.

Reads take two steps: plan over the small columns which batches come next, then load and decode
just those. A plan is one statement, so it sees one moment of the log, whoever writes meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from gateway.errors import OffsetOutOfRange, StoreDamaged, StoreError, UnknownStream
from gateway.store.batch_format import BatchDamaged
from gateway.store.cursors import Cursor, Key, Merged
from gateway.store.limits import Allowance
from gateway.store.protocol import (
    Bounds,
    Caps,
    Chunk,
    Extent,
    GroupOffsets,
    Start,
    StreamSpec,
    Tail,
    Unread,
)
from gateway.store.recent import Recent
from gateway.store.sqlite.catalog import GROUP_OFFSETS_SQL, GROUPS_SQL, STREAMS_SQL
from gateway.store.sqlite.connections import ReadConnection
from gateway.store.sqlite.decoded import DecodedRows
from gateway.store.sqlite.merging import Reading
from gateway.store.sqlite.planning import (
    Plan,
    PlannedBatch,
    build_plan,
    choose,
    windows_sql,
)
from gateway.store.sqlite.rows import COLUMNS, BatchRow, decode_row
from gateway.store.sqlite.schema import FENCE_SPAN, FORMAT_VERSION, commit_no_of

RECORDS_DECODED_AT_ONCE = 500
POLL_PAUSE_S = 0.1
PLANS_MAX = 3
RECORD_BYTES_MAX = 256 << 20

CAPS = Caps(
    shared=False,
    atomic_commit=True,
    compaction=True,
    time_index=True,
    manage_streams=True,
    record_bytes_max=RECORD_BYTES_MAX,
    durabilities=frozenset({"fsync", "os", "memory"}),
)

ENTRY_SQL = "SELECT value FROM entries WHERE table_name = ? AND key = ?"
ITEMS_SQL = """
    SELECT key, value FROM entries
    WHERE table_name = ? AND key >= ? AND substr(key, 1, ?) = ? ORDER BY key
"""
BEGINNING_SQL = "SELECT first_ms, log_bytes - length(body) FROM batches WHERE id = ?"
PARTITIONS_SQL = "SELECT number, stream, partition FROM partitions"
EXTENT_SQL = f"""
    WITH ends AS (
        SELECT p.number, p.log_start_offset,
            coalesce((
                SELECT min(id) FROM batches WHERE id >= p.head_id AND id < p.head_id + {FENCE_SPAN}
                AND partition_number = p.number
            ), (
                SELECT id FROM batches WHERE is_fence = 1 AND partition_number = p.number
                ORDER BY base_offset LIMIT 1
            )) AS first_id,
            coalesce((
                SELECT id FROM batches WHERE is_fence = 1 AND partition_number = p.number
                ORDER BY base_offset DESC LIMIT 1
            ), p.head_id) AS fence_id
        FROM partitions AS p WHERE p.number = ?)
    SELECT e.log_start_offset, first.first_ms, first.log_bytes - length(first.body),
        last.base_offset + last.record_count, last.last_ms, last.log_bytes
    FROM ends AS e
    LEFT JOIN batches AS first ON first.id = e.first_id
    LEFT JOIN batches AS last ON last.id = (
        SELECT max(id) FROM batches WHERE id >= e.fence_id AND id < e.fence_id + {FENCE_SPAN}
        AND partition_number = e.number)
"""  # noqa: S608 - a constant of ours
MOMENT_SQL = """
    WITH RECURSIVE search (low, high, position) AS (
        VALUES (:low, :high, :low)
        UNION ALL
        SELECT
            CASE WHEN f.first_ms >= :time_ms THEN s.low ELSE (s.low + s.high) / 2 + 1 END,
            CASE WHEN f.first_ms >= :time_ms THEN f.base_offset ELSE s.high END,
            CASE WHEN f.first_ms < :time_ms THEN f.base_offset ELSE s.position END
        FROM search AS s LEFT JOIN batches AS f ON f.id = (
            SELECT id FROM batches WHERE is_fence = 1 AND partition_number = :number
            AND base_offset BETWEEN s.low AND (s.low + s.high) / 2
            ORDER BY base_offset DESC LIMIT 1)
        WHERE s.low < s.high)
    SELECT position FROM search WHERE low >= high
"""
"""A binary search for the last fence that begins before a moment.

It is the one at `position`, or lies in `low` … `high` - 1.
"""


class SqliteReader:
    """A `StreamReader` over the file of a data directory."""

    def __init__(self, path: Path, on_damage: Callable[[StoreDamaged], None] | None = None) -> None:
        self._connection = ReadConnection(path, on_damage)
        self._numbers: dict[Key, int] = {}
        self._decoded = DecodedRows()

    @property
    def caps(self) -> Caps:
        return CAPS

    @property
    def recent(self) -> Recent | None:
        return None

    @property
    def known_commit_no(self) -> int:
        """A commit that every statement from now on sees."""
        return 0

    async def open(self) -> None:
        """See that the file can be read.

        Raises:
            StoreError: as `connect_reader` does.
        """
        try:
            await self._check_version()
            await self._connection.fetchall(PARTITIONS_SQL)
        except StoreError:
            # The thread of an open connection would outlast everybody's interest.
            await self.close()
            raise

    async def _check_version(self) -> None:
        ((version,),) = await self._connection.fetchall("PRAGMA user_version")
        if version < FORMAT_VERSION:
            raise StoreError(
                f"the log has format {version}, this program reads {FORMAT_VERSION}; "
                "start its gateway once to bring it up to date"
            )

    async def close(self) -> None:
        await self._connection.close()

    async def streams(self) -> Sequence[StreamSpec]:
        return [StreamSpec(*row) for row in await self._connection.fetchall(STREAMS_SQL)]

    async def fetch(
        self,
        stream: str,
        partition: int,
        offset: int,
        *,
        records_max: int = 10_000,
        bytes_max: int = 4 << 20,
    ) -> Chunk:
        key = (stream, partition)
        await self._number(key)
        allowance = Allowance(records_max, bytes_max)
        merged = await self.read_merged({key: offset}, allowance)
        while merged.has_more and not merged.batches:
            # Whole batches may hold nothing any more.
            further = await self.read_merged(merged.positions, allowance)
            merged = further._replace(gaps=[*merged.gaps, *further.gaps])
        if not merged.batches or merged.gaps:
            bounds = await self.bounds(stream, partition)
            if not bounds.log_start_offset <= offset <= bounds.log_end_offset:
                raise OffsetOutOfRange(
                    f"{stream}/{partition} holds offsets {bounds.log_start_offset} … "
                    f"{bounds.log_end_offset - 1}, not {offset}"
                )
        return Chunk(stream, partition, merged.batches, merged.positions[key], merged.gaps)

    async def bounds(self, stream: str, partition: int) -> Bounds:
        extent = await self._extent((stream, partition))
        return Bounds(extent.log_start_offset, extent.log_end_offset)

    async def extents(self, stream: str) -> Sequence[Extent]:
        return [await self._extent(key) for key in await self._keys_of([stream])]

    async def offset_at(self, stream: str, partition: int, time_ms: int) -> int | None:
        key = (stream, partition)
        number = await self._number(key)
        low, high = await self.bounds(stream, partition)
        parameters = {"low": low, "high": high, "time_ms": time_ms, "number": number}
        ((position,),) = await self._connection.fetchall(MOMENT_SQL, parameters)
        plan = await self.plan({key: position})
        for batch in plan.batches:
            if batch.last_ms >= time_ms:
                offset = await self._offset_within(batch, time_ms)
                if offset is not None:
                    return offset
        return None

    async def entry(self, table: str, key: str) -> bytes | None:
        rows = await self._connection.fetchall(ENTRY_SQL, (table, key))
        return rows[0][0] if rows else None

    async def entries(self, table: str, prefix: str = "") -> Sequence[tuple[str, bytes]]:
        parameters = (table, prefix, len(prefix), prefix)
        rows = await self._connection.fetchall(ITEMS_SQL, parameters)
        return [(key, value) for key, value in rows]

    def tail(self, streams: Sequence[str], start: Start) -> Tail:
        async def resolve() -> dict[Key, int]:
            return await self.resolve(streams, start)

        return Cursor(self, resolve)

    def follow(self, positions: Mapping[Key, int]) -> Tail:
        async def resolve() -> dict[Key, int]:
            return dict(positions)

        return Cursor(self, resolve)

    async def groups(self) -> Sequence[GroupOffsets]:
        found = {
            name: GroupOffsets(name, generation, {})
            for name, generation in await self._connection.fetchall(GROUPS_SQL)
        }
        for group, stream, partition, offset in await self._connection.fetchall(GROUP_OFFSETS_SQL):
            own = found.setdefault(group, GroupOffsets(group, 0, {}))
            found[group] = own._replace(offsets={**own.offsets, (stream, partition): offset})
        return [found[name] for name in sorted(found)]

    async def unread(self, stream: str, partition: int, offset: int) -> Unread:
        key = (stream, partition)
        number = await self._number(key)
        _, _, _, end_offset, _, log_bytes = (
            await self._connection.fetchall(EXTENT_SQL, (number,))
        )[0]
        plan = await self.plan({key: offset})
        if end_offset is None or not plan.batches:
            return Unread(0, 0, None)
        rows = await self._connection.fetchall(BEGINNING_SQL, (plan.batches[0].id,))
        first_ms, bytes_before = rows[0] if rows else (plan.batches[0].last_ms, log_bytes)
        return Unread(end_offset - offset, log_bytes - bytes_before, first_ms)

    async def resolve(self, streams: Sequence[str], start: Start) -> dict[Key, int]:
        """The offset of every partition at which a reader of `streams` begins.

        Raises:
            UnknownStream: one of them doesn't exist.
        """
        positions = {}
        for key in await self._keys_of(streams):
            if isinstance(start, Mapping) and key in start:
                positions[key] = start[key]
            else:
                bounds = await self.bounds(*key)
                positions[key] = bounds[1 if start == "latest" else 0]
        return positions

    async def wait(self, after_commit_no: int) -> None:
        """Pause before the log is looked at again: another process writes it."""
        await asyncio.sleep(POLL_PAUSE_S)

    async def read_merged(self, positions: Mapping[Key, int], allowance: Allowance) -> Merged:
        known_commit_no = self.known_commit_no
        plan, chosen, rows = await self._find(positions, allowance)
        reading = Reading(positions, allowance, self._decoded.decode)
        decoded_count = 0
        for batch in chosen:
            if not reading.take(batch, rows.get(batch.id)):
                return reading.merged(commit_no_of(batch.id) - 1, has_more=True)
            decoded_count += batch.fresh_count
            if decoded_count >= RECORDS_DECODED_AT_ONCE:
                decoded_count = 0
                await self.let_pass()
        last_commit_no = commit_no_of(chosen[-1].id) if chosen else 0
        if plan.has_more or len(chosen) < len(plan.batches):
            return reading.merged(last_commit_no - 1, has_more=True)
        return reading.merged(max(known_commit_no, last_commit_no), has_more=False)

    async def let_pass(self) -> None:
        """Let whoever is more urgent have the event loop, between two parts of a long read."""
        await asyncio.sleep(0)

    async def _find(
        self, positions: Mapping[Key, int], allowance: Allowance
    ) -> tuple[Plan, list[PlannedBatch], dict[int, BatchRow]]:
        """Plan and load; again when what was planned has been moved meanwhile."""
        tries = 0
        while True:
            tries += 1
            plan = await self.plan(positions)
            chosen = choose(plan.batches, allowance)
            rows = await self.load([batch.id for batch in chosen])
            if len(rows) == len(chosen) or tries == PLANS_MAX:
                return plan, chosen, rows

    async def plan(self, positions: Mapping[Key, int]) -> Plan:
        """Which batches come next at some offsets, in merge order."""
        numbered = {await self._number(key): (key, positions[key]) for key in positions}
        if not numbered:
            return Plan([], has_more=False)
        parameters = [
            part for number, (_, position) in numbered.items() for part in (number, position)
        ]
        rows = await self._connection.fetchall(windows_sql(len(numbered)), parameters)
        return build_plan(rows, numbered)

    async def load(self, ids: Sequence[int]) -> dict[int, BatchRow]:
        """The rows of these batches, as far as they are still there."""
        rows = await self._connection.fetchall(load_sql(len(ids)), ids) if ids else []
        return {row[0]: BatchRow(*row) for row in rows}

    async def _offset_within(self, found: PlannedBatch, time_ms: int) -> int | None:
        """The first offset at `time_ms` or later in a batch; None when it has none any more."""
        rows = await self.load([found.id])
        try:
            batches = decode_row(rows[found.id], *found.key)
        except (BatchDamaged, KeyError):
            return found.base_offset
        for batch in batches:
            if batch.count and batch.last_arrival_ms >= time_ms:
                earlier = sum(len(run) for run in batch.runs if run.arrival_ms < time_ms)
                return batch.base_offset + earlier
        return None

    async def _extent(self, key: Key) -> Extent:
        number = await self._number(key)
        rows = await self._connection.fetchall(EXTENT_SQL, (number,))
        start_offset, first_ms, bytes_before, end_offset, last_ms, log_bytes = rows[0]
        if end_offset is None:
            return Extent(key[1], start_offset, start_offset, 0, None, None)
        stored_bytes = log_bytes - bytes_before
        return Extent(key[1], start_offset, end_offset, stored_bytes, first_ms, last_ms)

    async def _keys_of(self, streams: Sequence[str]) -> list[Key]:
        if not all((stream, 0) in self._numbers for stream in streams):
            await self._read_numbers()
        for stream in streams:
            await self._number((stream, 0))
        return sorted(key for key in self._numbers if key[0] in streams)

    async def _number(self, key: Key) -> int:
        if key not in self._numbers:
            await self._read_numbers()
        if key not in self._numbers:
            raise unknown(key, self._numbers)
        return self._numbers[key]

    async def _read_numbers(self) -> None:
        rows = await self._connection.fetchall(PARTITIONS_SQL)
        self._numbers = {(stream, partition): number for number, stream, partition in rows}


def unknown(key: Key, known: Collection[Key]) -> UnknownStream:
    """Say which stream or partition doesn't exist, and what does."""
    stream, partition = key
    count = sum(name == stream for name, _ in known)
    if count:
        return UnknownStream(f"stream {stream!r} has partitions 0 … {count - 1}, not {partition}")
    names = ", ".join(sorted({name for name, _ in known})) or "none"
    return UnknownStream(f"no stream {stream!r}; there are: {names}")


@lru_cache(maxsize=64)
def load_sql(batch_count: int) -> str:
    """The statement that loads so many batches."""
    marks = ", ".join("?" * batch_count)
    return f"SELECT {COLUMNS} FROM batches WHERE id IN ({marks})"  # noqa: S608 - no values
