"""From small columns to batches in merge order: which to read, what was lost, where it leads.

The statements that bring the columns and the bodies are `gateway.store.sqlite.reader`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from gateway.events import RecordBatch
from gateway.store.batch_format import BatchDamaged
from gateway.store.cursors import Key, Merged, part_from
from gateway.store.limits import Allowance
from gateway.store.protocol import Gap
from gateway.store.sqlite.rows import BatchRow, decode_row
from gateway.store.sqlite.schema import OFFSET_END, offset_of

ROWS_LOADED_MAX = 512


class PlannedBatch(NamedTuple):
    """A batch that is there to be read, and what of it is new to the reader."""

    commit_no: int
    key: Key
    id: int
    next_offset: int
    fresh_count: int
    payload_bytes: int
    is_first: bool


class Reading:
    """One read under way: what was found, what was lost, and where it has come to."""

    def __init__(self, positions: Mapping[Key, int], allowance: Allowance) -> None:
        self._positions = dict(positions)
        self._allowance = allowance
        self._found: list[RecordBatch] = []
        self._gaps: list[Gap] = []

    def take(self, planned: PlannedBatch, row: BatchRow | None) -> bool:
        """Move over one batch; return whether the allowance had room for all of it."""
        key = planned.key
        base_offset = offset_of(planned.id)
        if base_offset > self._positions[key]:
            self._lose(key, base_offset, "removed" if planned.is_first else "damaged")
        try:
            batch = None if row is None else decode_row(row, *key)
        except BatchDamaged:
            self._lose(key, planned.next_offset, "damaged")
            return True
        fresh = None if batch is None else part_from(batch, self._positions[key])
        if fresh is None:
            self._lose(key, planned.next_offset, "removed")
            return True
        taken = self._allowance.take(fresh)
        if taken is not None:
            self._found.append(taken)
            self._positions[key] = taken.next_offset
        return taken is fresh

    def merged(self, complete_to: int, *, has_more: bool) -> Merged:
        """What came out of it."""
        return Merged(self._found, self._gaps, self._positions, complete_to, has_more)

    def _lose(self, key: Key, stop_offset: int, cause: Literal["damaged", "removed"]) -> None:
        self._gaps.append(Gap(*key, self._positions[key], stop_offset, cause))
        self._positions[key] = stop_offset


def plan_partition(
    key: Key, position: int, rows: Sequence[tuple[int, int, int, int]]
) -> list[PlannedBatch]:
    """See what the rows of one partition, in order, hold at `position` and after."""
    planned = []
    is_first = True
    for index, (identity, commit_no, record_count, payload_bytes) in enumerate(rows):
        base_offset = offset_of(identity)
        # A damaged count must not reach into the next batch.
        limit = offset_of(rows[index + 1][0]) if index + 1 < len(rows) else OFFSET_END
        next_offset = min(base_offset + record_count, limit)
        fresh_count = next_offset - max(base_offset, position)
        if fresh_count > 0:
            planned.append(
                PlannedBatch(
                    commit_no, key, identity, next_offset, fresh_count, payload_bytes, is_first
                )
            )
        is_first = False
    return planned


def choose(planned: Sequence[PlannedBatch], allowance: Allowance) -> list[PlannedBatch]:
    """Take batches from the front until they fill the allowance, at least one if there is one."""
    chosen: list[PlannedBatch] = []
    records, left_bytes = allowance.records, allowance.bytes
    for batch in planned[:ROWS_LOADED_MAX]:
        if chosen and (records <= 0 or left_bytes <= 0):
            break
        chosen.append(batch)
        records -= batch.fresh_count
        left_bytes -= batch.payload_bytes
    return chosen
