"""From planned batches to read ones: what was found, what was lost, where it leads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from gateway.events import RecordBatch
from gateway.store.batch_format import BatchDamaged
from gateway.store.cursors import Key, Merged, part_from
from gateway.store.limits import Allowance
from gateway.store.protocol import Gap
from gateway.store.sqlite.planning import PlannedBatch
from gateway.store.sqlite.rows import BatchRow, decode_row


class Reading:
    """One read under way: what was found, what was lost, and where it has come to."""

    def __init__(
        self,
        positions: Mapping[Key, int],
        allowance: Allowance,
        decode: Callable[[BatchRow, str, int], list[RecordBatch]] = decode_row,
    ) -> None:
        self._positions = dict(positions)
        self._allowance = allowance
        self._decode = decode
        self._found: list[RecordBatch] = []
        self._gaps: list[Gap] = []

    def take(self, planned: PlannedBatch, row: BatchRow | None) -> bool:
        """Move over one batch; return whether the allowance had room for all of it."""
        key = planned.key
        self._lose(key, min(planned.base_offset, planned.log_start_offset), "removed")
        self._lose(key, planned.base_offset, "damaged")
        if row is None:
            self._lose(key, planned.next_offset, "removed")
            return True
        try:
            batches = self._decode(row, *key)
        except BatchDamaged:
            self._lose(key, planned.next_offset, "damaged")
            return True
        for batch in batches:
            fresh = part_from(batch, self._positions[key])
            if fresh is None:
                continue
            taken = self._allowance.take(fresh)
            if taken is not None:
                self._found.append(taken)
                self._positions[key] = taken.next_offset
            if taken is not fresh:
                return False
        # What compaction took out of it is nobody's loss.
        self._positions[key] = max(self._positions[key], row.base_offset + row.record_count)
        return True

    def merged(self, complete_to: int, *, has_more: bool) -> Merged:
        """What came out of it."""
        return Merged(self._found, self._gaps, self._positions, complete_to, has_more)

    def _lose(self, key: Key, stop_offset: int, cause: Literal["damaged", "removed"]) -> None:
        position = self._positions[key]
        if stop_offset > position:
            self._gaps.append(Gap(*key, position, stop_offset, cause))
            self._positions[key] = stop_offset
