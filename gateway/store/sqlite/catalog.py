"""What the writer knows by heart: streams, where each partition ends, and consumer groups.

It is read from the file when the log is opened and after an error, and follows each commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import aiosqlite

from gateway.errors import UnknownStream
from gateway.store.cursors import Key
from gateway.store.protocol import StreamSpec
from gateway.store.sqlite.schema import FENCE_SPAN

STREAMS_SQL = (
    "SELECT name, partitions, durability, retention_age_ms, retention_bytes, retention_count, "
    "behind, compact_by, tombstones_ms FROM streams ORDER BY name"
)
COMMIT_NO_SQL = """
    SELECT max(coalesce((SELECT max(id) FROM batches), 0) >> 9,
        coalesce((SELECT value FROM meta WHERE name = 'commit_no'), 0))
"""
# Behind the last fence of a partition lie its last batches; with none, behind its head.
LAST_BATCHES_SQL = f"""
    WITH fenced AS (
        SELECT p.*, (
            SELECT id FROM batches WHERE is_fence = 1 AND partition_number = p.number
            ORDER BY base_offset DESC LIMIT 1) AS fence_id
        FROM partitions AS p)
    SELECT f.number, f.stream, f.partition, f.log_start_offset, f.removed_to_ms, f.fence_id,
        b.base_offset + b.record_count, b.last_ms, b.log_bytes
    FROM fenced AS f LEFT JOIN batches AS b ON b.id = (
        SELECT max(id) FROM batches
        WHERE id >= coalesce(f.fence_id, f.head_id)
        AND id < coalesce(f.fence_id, f.head_id) + {FENCE_SPAN}
        AND partition_number = f.number)
"""  # noqa: S608 - a constant of ours
OFFSET_FLOOR_SQL = "SELECT value FROM meta WHERE name = 'offset_floor'"
GROUPS_SQL = "SELECT name, generation FROM groups"
GROUP_OFFSETS_SQL = "SELECT group_name, stream, partition, committed_offset FROM group_offsets"


@dataclass(slots=True)
class PartitionState:
    """One partition as the last commit left it."""

    number: int
    stream: str
    partition: int
    is_synced: bool
    log_start_offset: int = 0
    log_end_offset: int = 0
    last_ms: int = 0
    log_bytes: int = 0
    fence_id: int | None = None
    is_volatile: bool = False
    """Whether its newest records are in memory alone; `log_end_offset` counts them."""


@dataclass(slots=True)
class Catalog:
    """Everything about the log that isn't records."""

    commit_no: int = 0
    offset_floor: int = 0
    specs: dict[str, StreamSpec] = field(default_factory=dict)
    partitions: dict[Key, PartitionState] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)
    committed: dict[str, dict[Key, int]] = field(default_factory=dict)

    def partition(self, stream: str, partition: int) -> PartitionState:
        """The state of one partition.

        Raises:
            UnknownStream: there is none.
        """
        state = self.partitions.get((stream, partition))
        if state is None:
            raise self.unknown(stream, partition)
        return state

    def unknown(self, stream: str, partition: int) -> UnknownStream:
        """Say which stream or partition doesn't exist, and what does."""
        spec = self.specs.get(stream)
        if spec is None:
            names = ", ".join(self.specs) or "none"
            return UnknownStream(f"no stream {stream!r}; there are: {names}")
        return UnknownStream(
            f"stream {stream!r} has partitions 0 … {spec.partitions - 1}, not {partition}"
        )

    def of_streams(self, streams: Iterable[str]) -> list[PartitionState]:
        """Every partition of some streams.

        Raises:
            UnknownStream: one of them doesn't exist.
        """
        return [
            self.partition(stream, partition)
            for stream in streams
            for partition in range(self.specs[stream].partitions if stream in self.specs else 1)
        ]


async def load_catalog(connection: aiosqlite.Connection) -> Catalog:
    """Read the catalog from the file.

    Raises:
        sqlite3.Error: the disk refused.
    """
    catalog = Catalog()
    for row in await connection.execute_fetchall(STREAMS_SQL):
        catalog.specs[row[0]] = StreamSpec(*row)
    for row in await connection.execute_fetchall(COMMIT_NO_SQL):
        catalog.commit_no = row[0]
    for row in await connection.execute_fetchall(OFFSET_FLOOR_SQL):
        catalog.offset_floor = row[0]
    for row in await connection.execute_fetchall(LAST_BATCHES_SQL):
        add_partition(catalog, row)
    for name, generation in await connection.execute_fetchall(GROUPS_SQL):
        catalog.generations[name] = generation
        catalog.committed[name] = {}
    for group, stream, partition, offset in await connection.execute_fetchall(GROUP_OFFSETS_SQL):
        catalog.committed[group][stream, partition] = offset
    return catalog


def add_partition(catalog: Catalog, row: tuple[Any, ...] | sqlite3.Row) -> None:
    """Take in a row of `LAST_BATCHES_SQL`."""
    number, stream, partition, start_offset, removed_to_ms, fence_id, *last = row
    durability = catalog.specs[stream].durability
    is_synced = durability == "fsync"
    state = PartitionState(number, stream, partition, is_synced, start_offset, start_offset)
    state.is_volatile = durability == "memory"
    state.last_ms = removed_to_ms
    state.fence_id = fence_id
    if last[0] is not None:
        state.log_end_offset, state.last_ms, state.log_bytes = last
    catalog.partitions[stream, partition] = state
