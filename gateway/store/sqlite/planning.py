"""Which batches come next at some offsets, found over small columns, in one statement.

`gateway.store.sqlite.merging` reads what was planned here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from gateway.store.cursors import Key
from gateway.store.limits import Allowance
from gateway.store.sqlite.schema import FENCE_SPAN

ROWS_LOADED_MAX = 512
RECORD_BODY_BYTES = 2


class PlannedBatch(NamedTuple):
    """A batch that is there to be read, and what of it is new to the reader."""

    id: int
    key: Key
    base_offset: int
    next_offset: int
    fresh_count: int
    payload_bytes: int
    last_ms: int
    body_bytes: int
    log_start_offset: int


class Plan(NamedTuple):
    """The next batches of some partitions in merge order, perhaps not all that there are."""

    batches: list[PlannedBatch]
    has_more: bool


class WindowRow(NamedTuple):
    """A row of the planning statement."""

    id: int
    partition_number: int
    base_offset: int
    record_count: int
    payload_bytes: int
    last_ms: int
    body_bytes: int
    log_start_offset: int
    has_more: int


@lru_cache(maxsize=64)
def windows_sql(partition_count: int) -> str:
    """The statement that plans for so many partitions; parameters: number and position of each.

    It looks behind the last fence at or before each position, or the head of the partition where
    there is none, and behind the next fence: further batches can only lie behind later fences.
    The unary plus keeps SQLite from indexing the whole log for a few rows.
    """
    wanted = ", ".join(["(?, ?)"] * partition_count)
    return f"""
        WITH wanted (number, position) AS (VALUES {wanted}),
        near AS (
            SELECT w.number, w.position, p.log_start_offset,
                coalesce((
                    SELECT id FROM batches WHERE is_fence = 1 AND partition_number = w.number
                    AND base_offset <= w.position ORDER BY base_offset DESC LIMIT 1
                ), p.head_id) AS fence_id, (
                    SELECT id FROM batches WHERE is_fence = 1 AND partition_number = w.number
                    AND base_offset > w.position ORDER BY base_offset LIMIT 1
                ) AS next_id
            FROM wanted AS w JOIN partitions AS p ON p.number = w.number),
        windows AS (
            SELECT number, position, log_start_offset, fence_id AS first_id,
                next_id IS NOT NULL AS has_more FROM near
            UNION ALL
            SELECT number, position, log_start_offset, next_id, 1 FROM near
            WHERE next_id IS NOT NULL)
        SELECT b.id, b.partition_number, b.base_offset, b.record_count, b.payload_bytes,
            b.last_ms, length(b.body), w.log_start_offset, w.has_more
        FROM windows AS w CROSS JOIN batches AS b
        WHERE b.id >= w.first_id AND b.id < w.first_id + {FENCE_SPAN}
        AND +b.partition_number = w.number AND b.base_offset + b.record_count > w.position
    """  # noqa: S608 - a constant of ours


def build_plan(rows: Sequence[tuple[Any, ...]], positions: Mapping[int, tuple[Key, int]]) -> Plan:
    """Put the rows of the planning statement in merge order, as far as they are all there is.

    `positions` holds the partition and the position of each number.
    """
    by_number: defaultdict[int, dict[int, WindowRow]] = defaultdict(dict)
    for row in rows:
        by_number[row[1]][row[0]] = WindowRow(*row)
    planned = []
    horizons = []
    for number, by_id in by_number.items():
        # A damaged row may hold anything; the others say what it held.
        own = [by_id[identity] for identity in sorted(by_id) if is_countable(by_id[identity])]
        planned += plan_partition(*positions[number], own)
        if any(row.has_more for row in own):
            horizons.append(own[-1].id)
    horizon = min(horizons, default=None)
    planned.sort()
    if horizon is None:
        return Plan(planned, has_more=False)
    return Plan([batch for batch in planned if batch.id <= horizon], has_more=True)


def is_countable(row: WindowRow) -> bool:
    """Whether the columns that plans are made of are numbers that a batch can have."""
    return (
        type(row.base_offset) is type(row.record_count) is type(row.payload_bytes) is int
        and type(row.last_ms) is type(row.body_bytes) is int
        and row.base_offset >= 0
        and row.record_count >= 0
    )


def plan_partition(key: Key, position: int, rows: Sequence[WindowRow]) -> list[PlannedBatch]:
    """See what the rows of one partition, in order, hold at `position` and after."""
    planned = []
    for index, row in enumerate(rows):
        next_offset = row.base_offset + row.record_count
        if index + 1 < len(rows):
            # A damaged count must not reach into the next batch.
            next_offset = min(next_offset, rows[index + 1].base_offset)
        fresh_count = next_offset - max(row.base_offset, position)
        # A batch of no records marks where a partition goes on behind what was lost.
        if fresh_count > 0 or (not row.record_count and row.base_offset > position):
            planned.append(
                PlannedBatch(
                    row.id,
                    key,
                    row.base_offset,
                    next_offset,
                    fresh_count,
                    row.payload_bytes,
                    row.last_ms,
                    row.body_bytes,
                    row.log_start_offset,
                )
            )
    return planned


def choose(planned: Sequence[PlannedBatch], allowance: Allowance) -> list[PlannedBatch]:
    """Take batches from the front until they fill the allowance, at least one if there is one."""
    chosen: list[PlannedBatch] = []
    records, left_bytes = allowance.records, allowance.bytes
    for batch in planned[:ROWS_LOADED_MAX]:
        if chosen and (records <= 0 or left_bytes <= 0):
            break
        chosen.append(batch)
        # Compaction may have left few of a batch's records; so many don't fit into so few bytes.
        records -= min(batch.fresh_count, max(batch.body_bytes // RECORD_BODY_BYTES, 1))
        left_bytes -= batch.payload_bytes
    return chosen
