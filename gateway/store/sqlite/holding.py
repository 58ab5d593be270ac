"""What was read of the file, gone on over what memory streams hold beside it.

What they hold was noted before the file was read, so that nothing is missed that is written out
meanwhile; what is in both counts once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.events import RecordBatch
from gateway.store.cursors import Key, Merged, part_from
from gateway.store.limits import Allowance
from gateway.store.protocol import Bounds, Extent, Gap, Unread


def extended(
    merged: Merged,
    unwritten: Mapping[Key, Sequence[RecordBatch]],
    allowance: Allowance,
) -> Merged:
    """A reading that has come to the end of the file, gone on over what isn't in it yet.

    `unwritten` is how it was before the file was read.
    """
    positions = dict(merged.positions)
    found, gaps = list(merged.batches), list(merged.gaps)
    fresh = [batch for own in unwritten.values() for batch in own]
    fresh.sort(key=lambda batch: (batch.commit_no, batch.stream, batch.partition))
    for batch in fresh:
        key = (batch.stream, batch.partition)
        if batch.base_offset > positions[key]:
            # Retention may take the oldest before they are written.
            gaps.append(Gap(*key, positions[key], batch.base_offset, "removed"))
            positions[key] = batch.base_offset
        part = part_from(batch, positions[key])
        if part is None:
            continue
        taken = allowance.take(part)
        if taken is not None:
            found.append(taken)
            positions[key] = taken.next_offset
        if taken is not part:
            complete_to = min(merged.complete_to, batch.commit_no - 1)
            return Merged(found, gaps, positions, complete_to, has_more=True)
    return Merged(found, gaps, positions, merged.complete_to, has_more=False)


def with_held(extent: Extent, held: Sequence[RecordBatch], bounds: Bounds) -> Extent:
    """The extent of a partition with these bounds; its size is that on disk."""
    if not held:
        return extent
    return Extent(
        extent.partition,
        bounds.log_start_offset,
        bounds.log_end_offset,
        extent.stored_bytes,
        held[0].runs[0].arrival_ms if extent.first_ms is None else extent.first_ms,
        held[-1].last_arrival_ms,
    )


def with_unread(unread: Unread, held: Sequence[RecordBatch], offset: int) -> Unread:
    """What a reader at an offset has before it; the size is that on disk."""
    fresh = [batch for batch in held if batch.next_offset > offset]
    if not fresh:
        return unread
    first_ms = fresh[0].runs[0].arrival_ms if unread.first_ms is None else unread.first_ms
    return Unread(fresh[-1].next_offset - offset, unread.stored_bytes, first_ms)


def first_offset_at(held: Sequence[RecordBatch], time_ms: int) -> int | None:
    """The first offset that arrived at a time or later; None when there is none."""
    for batch in held:
        if batch.last_arrival_ms >= time_ms:
            earlier = sum(len(run) for run in batch.runs if run.arrival_ms < time_ms)
            return batch.base_offset + earlier
    return None
