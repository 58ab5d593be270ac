"""Compaction of stored batches: the last record of each key stays where it is, the others go.

Which records those are is `gateway.store.compaction`'s affair.

Theory of operation. A pass goes over one partition twice, a few batches a step. First it looks
through what is new since the last pass and notes where each key's last record lies; then it goes
over everything before that from the start of the partition, oldest first, and thins each batch out.
A batch keeps its id, so the merge order stays as it was, and its offsets, so that nobody's position
moves. A batch that holds nothing any more goes, and the one before it is said to reach to its end:
offsets without a record are so told from offsets that damage took. When the batch was a fence, the
next one of its partition becomes one. Each step is one transaction, and any step by itself leaves
a log that is whole: earlier records of a key go before the tombstone that replaced them. A pass
that a crash has interrupted begins anew. The last batch of a partition replaces others, but is left
alone itself, since it says where the partition ends; so is what is damaged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import orjson

from gateway.clock import Clock
from gateway.events import RecordBatch
from gateway.store.batch_format import BatchCompressor, BatchDamaged, pack
from gateway.store.compaction import (
    KEYS_MAX,
    LastOffsets,
    Replacing,
    oldest_tombstone_ms,
)
from gateway.store.cursors import Key
from gateway.store.protocol import Bounds, Chunk, Put, StreamSpec
from gateway.store.sqlite.drafts import Statement
from gateway.store.sqlite.planning import Plan, PlannedBatch
from gateway.store.sqlite.rows import BatchRow, checksum_of, decode_row
from gateway.store.sqlite.schema import FENCE_SPAN
from gateway.store.sqlite.table import put_statements

PROGRESS_TABLE = "compaction"
ROWS_A_STEP = 16
BYTES_A_STEP = 512 << 10
RECORDS_A_STEP = 4_000
DIRTY_LEAST = 1_000
"""So many new records at least are worth a pass."""

REWRITE_SQL = """
    UPDATE batches SET record_count = ?, first_ms = ?, last_ms = ?, payload_bytes = ?,
        checksum = ?, body = ? WHERE id = ?
"""
PROMOTE_SQL = f"""
    UPDATE batches SET is_fence = 1 WHERE id = (
        SELECT min(id) FROM batches WHERE id > ? AND id < ? + {FENCE_SPAN}
        AND partition_number = ?)
    AND (SELECT is_fence FROM batches WHERE id = ?) = 1
"""  # noqa: S608 - a constant of ours
DELETE_SQL = "DELETE FROM batches WHERE id = ?"


class Source(Protocol):
    """What a compactor reads from."""

    async def fetch(
        self, stream: str, partition: int, offset: int, *, records_max: int, bytes_max: int
    ) -> Chunk: ...

    async def bounds(self, stream: str, partition: int) -> Bounds: ...

    async def entry(self, table: str, key: str) -> bytes | None: ...

    async def plan(self, positions: Mapping[Key, int]) -> Plan:
        """Which batches come next."""
        ...

    async def load(self, ids: Sequence[int]) -> dict[int, BatchRow]:
        """Their rows, those that are there."""
        ...

    async def change(self, statements: Sequence[Statement]) -> None:
        """Make changes durable, all of them or none."""
        ...


class Progress(NamedTuple):
    """How far a partition was compacted, how many records that left, and the oldest tombstone."""

    clean_to: int = 0
    kept: int = 0
    tombstone_ms: int | None = None


@dataclass(slots=True)
class Draft:
    """A batch as it will be: its row, where it ends, and what is left in it."""

    row: BatchRow
    stop_offset: int
    batches: list[RecordBatch]
    is_changed: bool

    def statement(self, compressor: BatchCompressor) -> Statement:
        """The change that writes it anew."""
        row = self.row
        runs = [run for batch in self.batches for run in batch.runs]
        kept = [(batch.base_offset - row.base_offset, batch.count) for batch in self.batches]
        body = compressor.compress(pack(runs, kept))
        columns = (
            row.id,
            row.partition_number,
            row.base_offset,
            self.stop_offset - row.base_offset,
            runs[0].arrival_ms if runs else row.first_ms,
            runs[-1].arrival_ms if runs else row.last_ms,
            sum(sum(map(len, run.payloads)) for run in runs),
            row.log_bytes,
        )
        self.row = BatchRow(*columns, row.is_fence, checksum_of(columns, body), body)
        self.is_changed = False
        changed = (*columns[3:7], self.row.checksum, body, row.id)
        return REWRITE_SQL, [changed]


@dataclass(slots=True)
class Pass:
    """One pass over a partition, under way."""

    spec: StreamSpec
    key: Key
    stop_offset: int
    end_offset: int
    position: int
    last: LastOffsets
    replacing: Replacing | None = None
    before: Draft | None = None
    kept: int = 0
    tombstone_ms: int | None = None
    statements: list[Statement] = field(default_factory=list)


class Compactor:
    """Compacts the partitions of one log, a step at a time."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._pass: Pass | None = None
        self._compressor = BatchCompressor()

    async def step(self, specs: Sequence[StreamSpec], *, is_forced: bool) -> int:
        """Work on one of these streams; return how many batches were looked at.

        Raises:
            StoreUnavailable: the disk refused; the pass begins anew with the next step.
        """
        own, self._pass = self._pass, None
        if own is None or own.spec not in specs:
            own = await self._begin(specs, is_forced=is_forced)
            if own is None:
                return 0
        if own.replacing is None:
            looked_at = await self._look(own)
        else:
            looked_at = await self._sweep(own)
        return max(looked_at, 1)

    async def _begin(self, specs: Sequence[StreamSpec], *, is_forced: bool) -> Pass | None:
        """The first partition that is worth a pass."""
        for spec in specs:
            if spec.compact_by is None:
                continue
            for partition in range(spec.partitions):
                key = (spec.name, partition)
                progress = await self._progress(key)
                stop_offset = await self._stop_offset(key)
                dirty = stop_offset - progress.clean_to
                is_worth_it = dirty > 0 if is_forced else dirty >= max(DIRTY_LEAST, progress.kept)
                if is_worth_it or self._is_over(spec, progress):
                    bounds = await self._source.bounds(*key)
                    position = max(progress.clean_to, bounds.log_start_offset)
                    last = LastOffsets(spec.compact_by)
                    return Pass(spec, key, stop_offset, bounds.log_end_offset, position, last)
        return None

    def _is_over(self, spec: StreamSpec, progress: Progress) -> bool:
        """Whether a tombstone has been there for long enough."""
        at_ms = progress.tombstone_ms
        return at_ms is not None and at_ms < self._tombstones_before_ms(spec)

    def _tombstones_before_ms(self, spec: StreamSpec) -> int:
        # No tombstone is old while nobody knows what time it is.
        return self._clock.now_ms() - spec.tombstones_ms if self._clock.is_right() else 0

    async def _progress(self, key: Key) -> Progress:
        encoded = await self._source.entry(PROGRESS_TABLE, name_of(key))
        return Progress() if encoded is None else Progress(**orjson.loads(encoded))

    async def _stop_offset(self, key: Key) -> int:
        """Where the last batch of a partition begins."""
        bounds = await self._source.bounds(*key)
        if bounds.log_end_offset == bounds.log_start_offset:
            return 0
        plan = await self._source.plan({key: bounds.log_end_offset - 1})
        return plan.batches[-1].base_offset if plan.batches else 0

    async def _look(self, own: Pass) -> int:
        """Note the last records of a few more batches."""
        looked_at = 0
        if own.position < own.end_offset:
            chunk = await self._source.fetch(
                *own.key, own.position, records_max=RECORDS_A_STEP, bytes_max=BYTES_A_STEP
            )
            for batch in chunk.batches:
                own.last.add(batch)
            looked_at = len(chunk.batches)
            own.position = chunk.next_offset
            if len(own.last.offsets) > KEYS_MAX:
                # The rest is for the next pass.
                own.end_offset = own.position
                own.stop_offset = min(own.stop_offset, own.position)
        if own.position >= own.end_offset:
            own.position = (await self._source.bounds(*own.key)).log_start_offset
            before_ms = self._tombstones_before_ms(own.spec)
            own.replacing = Replacing(own.last.by, own.last.offsets, before_ms)
        self._pass = own
        return looked_at

    async def _sweep(self, own: Pass) -> int:
        """Thin out a few more batches; after the last, write down how far the pass has come."""
        # Retention may have moved on since the last step.
        start_offset = (await self._source.bounds(*own.key)).log_start_offset
        own.position = max(own.position, start_offset)
        plan = await self._source.plan({own.key: own.position})
        chosen = choose(plan.batches, own.stop_offset)
        if own.before is not None and own.before.row.base_offset < start_offset:
            own.before = None
        if chosen:
            rows = await self._source.load([one.id for one in chosen])
            await asyncio.to_thread(self._thin, own, [(one, rows.get(one.id)) for one in chosen])
            own.position = chosen[-1].next_offset
        statements, own.statements = own.statements, []
        is_over = not chosen or own.position >= own.stop_offset
        if is_over:
            progress = Progress(own.stop_offset, own.kept, own.tombstone_ms)
            put = Put(PROGRESS_TABLE, name_of(own.key), orjson.dumps(progress._asdict()))
            statements += put_statements([put])
        if statements:
            await self._source.change(statements)
        self._pass = None if is_over else own
        return len(chosen)

    def _thin(self, own: Pass, chosen: Sequence[tuple[PlannedBatch, BatchRow | None]]) -> None:
        """Decide about these batches, in order; in a thread of its own."""
        for _, row in chosen:
            try:
                whole = None if row is None else decode_row(row, *own.key)
            except BatchDamaged:
                whole = None
            if row is None or whole is None or row.record_count == 0:
                self._settle(own)
                own.before = None
            else:
                self._take(own, row, whole)
        self._settle(own)

    def _take(self, own: Pass, row: BatchRow, whole: list[RecordBatch]) -> None:
        assert own.replacing is not None  # noqa: S101 - the first part of the pass has set it
        left = own.replacing.thin(whole)
        stop_offset = row.base_offset + row.record_count
        before = own.before
        if not left and before is not None and before.stop_offset == row.base_offset:
            own.statements.append((PROMOTE_SQL, [(row.id, row.id, row.partition_number, row.id)]))
            own.statements.append((DELETE_SQL, [(row.id,)]))
            before.stop_offset = stop_offset
            before.is_changed = True
            return
        self._settle(own)
        count = sum(batch.count for batch in left)
        is_changed = count != sum(batch.count for batch in whole)
        own.before = Draft(row, stop_offset, left, is_changed)
        own.kept += count
        at_ms = oldest_tombstone_ms(left)
        if at_ms is not None:
            own.tombstone_ms = at_ms if own.tombstone_ms is None else min(own.tombstone_ms, at_ms)

    def _settle(self, own: Pass) -> None:
        """Write the last batch that stays, if it isn't as it was."""
        if own.before is not None and own.before.is_changed:
            own.statements.append(own.before.statement(self._compressor))


def choose(planned: Sequence[PlannedBatch], stop_offset: int) -> list[PlannedBatch]:
    """Take batches from the front for one step, as far as they begin before `stop_offset`."""
    chosen: list[PlannedBatch] = []
    payload_bytes = 0
    for batch in planned[:ROWS_A_STEP]:
        payload_bytes += batch.payload_bytes
        if batch.base_offset >= stop_offset or (chosen and payload_bytes > BYTES_A_STEP):
            break
        chosen.append(batch)
    return chosen


def name_of(key: Key) -> str:
    """The key of a partition's progress in the table."""
    return f"{key[0]}/{key[1]}"
