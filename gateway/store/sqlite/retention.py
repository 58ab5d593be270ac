"""Which batches a stream's limits no longer cover: the oldest first, a few at a time.

Deleting them, and remembering that they were there, is one transaction of the committer's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gateway.clock import Clock
from gateway.store.cursors import Key
from gateway.store.protocol import Extent, StreamSpec
from gateway.store.sqlite.catalog import Catalog
from gateway.store.sqlite.drafts import Statement
from gateway.store.sqlite.planning import PlannedBatch
from gateway.store.sqlite.schema import commit_no_of

BATCHES_REMOVED_MAX = 64
BYTES_REMOVED_MAX = 2 << 20
"""How much one step takes from a stream, so that no commit waits long behind it."""

DELETE_SQL = "DELETE FROM batches WHERE id = ?"
START_SQL = """
    UPDATE partitions SET log_start_offset = ?, head_id = ?, removed_to_ms = ? WHERE number = ?
"""
COMMIT_NO_SQL = """
    INSERT INTO meta VALUES ('commit_no', ?)
    ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)
"""


def choose_excess(
    spec: StreamSpec, extents: Sequence[Extent], oldest: Iterable[PlannedBatch], now_ms: int
) -> list[PlannedBatch]:
    """Take from the oldest batches of a stream, in merge order, what must go.

    Of each partition those that lie before any that stays; bounded by the constants above.
    """
    before_ms = -1 if spec.retention_age_ms is None else now_ms - spec.retention_age_ms
    excess_bytes = excess(spec.retention_bytes, (own.stored_bytes for own in extents))
    excess_count = excess(
        spec.retention_count, (own.log_end_offset - own.log_start_offset for own in extents)
    )
    chosen: list[PlannedBatch] = []
    kept: set[Key] = set()
    removed_bytes = 0
    for batch in sorted(oldest):
        is_excess = excess_bytes > 0 or excess_count > 0 or batch.last_ms < before_ms
        if batch.key in kept or not is_excess:
            kept.add(batch.key)
            continue
        removed_bytes += batch.body_bytes
        if chosen and (removed_bytes > BYTES_REMOVED_MAX or len(chosen) == BATCHES_REMOVED_MAX):
            break
        chosen.append(batch)
        excess_bytes -= batch.body_bytes
        excess_count -= batch.fresh_count
    return chosen


def excess(limit: int | None, parts: Iterable[int]) -> int:
    """By how much the sum of `parts` exceeds the limit."""
    return 0 if limit is None else sum(parts) - limit


def oldest_ms(spec: StreamSpec, clock: Clock) -> int:
    """When the oldest record that a stream may keep came; nothing is too old without a time."""
    if spec.retention_age_ms is None or not clock.is_right():
        return 0
    return clock.now_ms() - spec.retention_age_ms


def removal_statements(batches: Sequence[PlannedBatch], catalog: Catalog) -> list[Statement]:
    """The changes that remove these batches; the log's end outlasts its last batch."""
    starts = [
        (last.next_offset, last.id + 1, last.last_ms, catalog.partition(*key).number)
        for key, last in last_by_key(batches).items()
    ]
    return [
        (DELETE_SQL, [(batch.id,) for batch in batches]),
        (START_SQL, starts),
        (COMMIT_NO_SQL, [(commit_no_of(max(batches).id),)]),
    ]


def apply_removal(batches: Sequence[PlannedBatch], catalog: Catalog) -> None:
    """Tell the catalog where the partitions begin now."""
    for key, last in last_by_key(batches).items():
        catalog.partition(*key).log_start_offset = last.next_offset


def last_by_key(batches: Iterable[PlannedBatch]) -> Mapping[Key, PlannedBatch]:
    """The last of these batches in each partition."""
    return {batch.key: batch for batch in sorted(batches)}
