"""What streams of durability `memory` hold in memory alone, until it is written out.

Theory of operation. A commit gives such records their offsets and the next commit number like any
others, but leaves them here. They are written later, by a commit of their own, in rows as large as
what has gathered: when the oldest is `age_ms_max` old, when all of them hold more than
`bytes_max`, and when the log is closed. Retention may take them before, and then they never are.

A process that dies takes what is here with it. Offsets must not be given out twice, so a partition
has some reserved in the file, `RESERVED_OFFSETS` ahead, before it gives them out; whoever opens a
log that was not closed goes on behind those that were reserved, and notes the stretch between as
lost. A clean close gives the rest back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from gateway.events import RecordBatch
from gateway.store.batch_format import pack
from gateway.store.cursors import Key
from gateway.store.recent import memory_bytes
from gateway.store.sqlite.catalog import Catalog
from gateway.store.sqlite.drafts import PartitionDraft, Statement, draw_row
from gateway.store.sqlite.reservations import (
    RESERVED_OFFSETS,
    Reservation,
    reservation_statement,
)
from gateway.store.sqlite.retention import START_SQL
from gateway.store.sqlite.rows import BatchRow
from gateway.store.sqlite.schema import batch_id

PIECE_BYTES = 2 << 20
Compress = Callable[[Sequence[bytes]], Awaitable[Sequence[bytes]]]
Write = Callable[[Sequence[BatchRow], Sequence[Statement]], Awaitable[None]]


class Trimmed(NamedTuple):
    """Where a partition begins whose oldest records were never written, and when they came."""

    log_start_offset: int
    last_ms: int


class Unwritten:
    """Batches by partition, oldest first, that the file doesn't have."""

    def __init__(self, bytes_max: int, age_ms_max: int) -> None:
        self.size_bytes = 0
        self.reservations: dict[Key, Reservation] = {}
        self._bytes_max = bytes_max
        self._age_ms_max = age_ms_max
        self._batches: dict[Key, deque[RecordBatch]] = {}
        self._first_ms: float | None = None
        self._wake: Callable[[], None] = lambda: None
        # The last commit that was here when what is being written out was first due.
        self._drafted_no = 0
        self._is_leaving = False
        self._trimmed: dict[Key, Trimmed] = {}

    def __bool__(self) -> bool:
        return self._first_ms is not None

    def due_ms(self) -> float:
        """When what is here is to be written; infinite when there is nothing."""
        if self._first_ms is None:
            return float("inf")
        return 0.0 if self.size_bytes > self._bytes_max else self._first_ms + self._age_ms_max

    def add(self, batches: Iterable[RecordBatch], now_ms: float, wake: Callable[[], None]) -> None:
        """Take in batches with the next offsets of their partitions; `wake` when they are due."""
        for batch in batches:
            self._batches.setdefault((batch.stream, batch.partition), deque()).append(batch)
            self.size_bytes += memory_bytes(batch.runs)
            if self._first_ms is None:
                self._begin(now_ms, wake)

    def _begin(self, now_ms: float, wake: Callable[[], None]) -> None:
        self._first_ms = now_ms
        self._wake = wake
        asyncio.get_running_loop().call_later(self._age_ms_max / 1000, wake)

    def batches_of(self, key: Key) -> Sequence[RecordBatch]:
        """What is here of a partition, oldest first."""
        return tuple(self._batches.get(key, ()))

    def snapshot(self, keys: Collection[Key]) -> Mapping[Key, Sequence[RecordBatch]]:
        """What is here now of those of these partitions that have something here."""
        return {key: tuple(own) for key, own in self._batches.items() if key in keys and own}

    def reserve(self, drafts: Iterable[PartitionDraft]) -> list[Statement]:
        """The changes that must be durable before the offsets of these drafts are given out."""
        statements = []
        for draft in drafts:
            key = (draft.state.stream, draft.state.partition)
            own = self.reservations.setdefault(key, Reservation())
            if draft.next_offset + RESERVED_OFFSETS // 2 > own.reserved:
                own.reserved = draft.next_offset + RESERVED_OFFSETS
                statements.append(reservation_statement(key, own))
        return statements

    def release(self) -> list[Statement]:
        """The changes that give back what was reserved; all that was here is written."""
        statements = []
        for key, own in self.reservations.items():
            if own.reserved:
                own.reserved = 0
                statements.append(reservation_statement(key, own))
        return statements

    def drafts(self, catalog: Catalog) -> list[PartitionDraft]:
        """A piece of each partition to be written as one row, in merge order."""
        return [draft_of(self._batches[key], catalog) for key in sorted(self._batches)]

    def settle(self, rows: Iterable[BatchRow], catalog: Catalog, now_ms: float) -> None:
        """Let go of what these rows hold; what came while they were written has time again."""
        states = {state.number: state for state in catalog.partitions.values()}
        for row in rows:
            state = states[row.partition_number]
            state.log_bytes = row.log_bytes
            if row.is_fence:
                state.fence_id = row.id
            self.drop((state.stream, state.partition), row.base_offset + row.record_count)
        if all(own[0].commit_no > self._drafted_no for own in self._batches.values()):
            self._is_leaving = False
            if self._batches:
                self._begin(now_ms, self._wake)
        self._trimmed.clear()

    def drop(self, key: Key, offset: int) -> None:
        """Let go of the batches that begin before an offset."""
        own = self._batches.get(key)
        while own and own[0].base_offset < offset:
            self.size_bytes -= memory_bytes(own.popleft().runs)
        if own is not None and not own:
            del self._batches[key]
        if not self._batches:
            self._first_ms = None

    def trim(
        self, catalog: Catalog, excess_count: int, before_ms: int, floors: Mapping[Key, int]
    ) -> int:
        """Remove the oldest that retention wants gone, before they are written; returns how many.

        `floors` are the offsets that must stay. The caller has made sure that the file holds
        nothing older of these partitions.
        """
        removed = 0
        while fronts := [own[0] for key, own in self._batches.items() if key in floors]:
            oldest = min(fronts, key=lambda batch: batch.commit_no)
            key = (oldest.stream, oldest.partition)
            is_excess = excess_count > 0 or oldest.last_arrival_ms < before_ms
            if not is_excess or oldest.next_offset > floors[key]:
                break
            catalog.partition(*key).log_start_offset = oldest.next_offset
            self._trimmed[key] = Trimmed(oldest.next_offset, oldest.last_arrival_ms)
            self.drop(key, oldest.next_offset)
            excess_count -= oldest.count
            removed += 1
        return removed

    def start_statements(self, catalog: Catalog, first_id: int) -> list[Statement]:
        """The changes that say where partitions begin of which something was never written."""
        rows = [
            (own.log_start_offset, first_id, own.last_ms, catalog.partition(*key).number)
            for key, own in self._trimmed.items()
        ]
        return [(START_SQL, rows)] if rows else []

    def rejoin(self, catalog: Catalog) -> None:
        """Put what is here behind what the file holds, which was read anew."""
        for key, own in list(self._batches.items()):
            state = catalog.partition(*key)
            end_offset, last_ms = own[-1].next_offset, own[-1].last_arrival_ms
            self.drop(key, state.log_end_offset)
            state.log_end_offset = max(state.log_end_offset, end_offset)
            state.last_ms = max(state.last_ms, last_ms)
        for key, trimmed in self._trimmed.items():
            catalog.partition(*key).log_start_offset = trimmed.log_start_offset


def draft_of(batches: Iterable[RecordBatch], catalog: Catalog) -> PartitionDraft:
    """As many of these consecutive batches as one row may hold, at least one."""
    taken: list[RecordBatch] = []
    size_bytes = 0
    for batch in batches:
        size_bytes += memory_bytes(batch.runs)
        if taken and size_bytes > PIECE_BYTES:
            break
        taken.append(batch)
    state = catalog.partition(taken[0].stream, taken[0].partition)
    return PartitionDraft(
        replace(state, log_end_offset=taken[0].base_offset),
        taken[-1].next_offset,
        taken[-1].last_arrival_ms,
        list(chain.from_iterable(batch.runs for batch in taken)),
    )


async def write_out(
    unwritten: Unwritten, catalog: Catalog, compress: Compress, write: Write
) -> None:
    """Make a piece of each partition durable, as the commit after the catalog's last.

    Raises:
        sqlite3.Error: the disk refused; everything is still here.
    """
    drafts = unwritten.drafts(catalog)
    commit_no = catalog.commit_no + 1
    bodies = await compress([pack(own.runs) for own in drafts])
    rows = [
        draw_row(own, batch_id(commit_no, place), body)
        for place, (own, body) in enumerate(zip(drafts, bodies, strict=True))
    ]
    await write(rows, unwritten.start_statements(catalog, batch_id(commit_no, 0)))
    catalog.commit_no = commit_no
    unwritten.settle(rows, catalog, asyncio.get_running_loop().time() * 1000)
