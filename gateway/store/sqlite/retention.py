"""Which batches a stream's limits no longer cover: the oldest first, a few at a time.

Deleting them, and remembering that they were there, is one transaction of the committer's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gateway.store.protocol import Extent, StreamSpec
from gateway.store.sqlite.catalog import Catalog
from gateway.store.sqlite.drafts import Statement
from gateway.store.sqlite.schema import batch_id

BATCHES_REMOVED_MAX = 64
BYTES_REMOVED_MAX = 2 << 20
"""How much one step takes from a stream, so that no commit waits long behind it."""

OLDEST_SQL = f"""
    SELECT commit_no, id, record_count, last_ms, length(body) FROM batches
    WHERE id >= ? AND id < ? ORDER BY id LIMIT {BATCHES_REMOVED_MAX}
"""  # noqa: S608 - a constant of ours
DELETE_SQL = "DELETE FROM batches WHERE id >= ? AND id < ?"
START_SQL = "UPDATE partitions SET log_start_offset = ?, removed_to_ms = ? WHERE number = ?"
COMMIT_NO_SQL = """
    INSERT INTO meta VALUES ('commit_no', ?)
    ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)
"""


class OldBatch(NamedTuple):
    """One of the oldest batches of a partition."""

    commit_no: int
    number: int
    next_offset: int
    record_count: int
    last_ms: int
    body_bytes: int


def choose_excess(
    spec: StreamSpec, extents: Sequence[Extent], oldest: Iterable[OldBatch], now_ms: int
) -> list[OldBatch]:
    """Take from the oldest batches of a stream, in the order of their commits, what must go.

    Of each partition those that lie before any that stays; bounded by the constants above.
    """
    before_ms = -1 if spec.retention_age_ms is None else now_ms - spec.retention_age_ms
    excess_bytes = excess(spec.retention_bytes, (own.stored_bytes for own in extents))
    excess_count = excess(
        spec.retention_count, (own.log_end_offset - own.log_start_offset for own in extents)
    )
    chosen: list[OldBatch] = []
    kept: set[int] = set()
    removed_bytes = 0
    for batch in sorted(oldest):
        is_excess = excess_bytes > 0 or excess_count > 0 or batch.last_ms < before_ms
        if batch.number in kept or not is_excess:
            kept.add(batch.number)
            continue
        removed_bytes += batch.body_bytes
        if chosen and (removed_bytes > BYTES_REMOVED_MAX or len(chosen) == BATCHES_REMOVED_MAX):
            break
        chosen.append(batch)
        excess_bytes -= batch.body_bytes
        excess_count -= batch.record_count
    return chosen


def excess(limit: int | None, parts: Iterable[int]) -> int:
    """By how much the sum of `parts` exceeds the limit."""
    return 0 if limit is None else sum(parts) - limit


def removal_statements(batches: Sequence[OldBatch]) -> list[Statement]:
    """The changes that remove these batches; the log's end outlasts its last batch."""
    ends = ends_by_number(batches)
    return [
        (DELETE_SQL, [(batch_id(own.number, 0), end_id(own)) for own in ends.values()]),
        (START_SQL, [(own.next_offset, own.last_ms, own.number) for own in ends.values()]),
        (COMMIT_NO_SQL, [(max(batch.commit_no for batch in batches),)]),
    ]


def end_id(batch: OldBatch) -> int:
    """The id that the batch behind this one has, or would have."""
    return batch_id(batch.number, batch.next_offset)


def apply_removal(batches: Sequence[OldBatch], catalog: Catalog) -> None:
    """Tell the catalog where the partitions begin now."""
    ends = ends_by_number(batches)
    for state in catalog.partitions.values():
        if state.number in ends:
            state.log_start_offset = ends[state.number].next_offset


def ends_by_number(batches: Iterable[OldBatch]) -> Mapping[int, OldBatch]:
    """The last of these batches in each partition."""
    return {batch.number: batch for batch in sorted(batches)}
