"""Creating streams and changing what they keep: what this engine allows, and how it is written."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import StreamInvalid
from gateway.store.compaction import check_limits
from gateway.store.protocol import StreamSpec
from gateway.store.sqlite.catalog import Catalog, PartitionState
from gateway.store.sqlite.drafts import Statement
from gateway.store.sqlite.reader import CAPS

PARTITIONS_MAX = 256
PARTITIONS_TOTAL_MAX = 400
STREAM_NAME_BYTES_MAX = 200

STREAM_SQL = """
    INSERT INTO streams VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET
        durability = excluded.durability,
        retention_age_ms = excluded.retention_age_ms,
        retention_bytes = excluded.retention_bytes,
        retention_count = excluded.retention_count,
        behind = excluded.behind,
        compact_by = excluded.compact_by,
        tombstones_ms = excluded.tombstones_ms
"""
PARTITION_SQL = """
    INSERT INTO partitions (number, stream, partition, log_start_offset) VALUES (?, ?, ?, ?)
"""


def check_spec(spec: StreamSpec) -> None:
    """See that this engine can keep such a stream.

    Raises:
        StreamInvalid: its name, partition count or durability is not to be had.
    """
    name = spec.name
    if not name or not name.isprintable() or len(name.encode()) > STREAM_NAME_BYTES_MAX:
        raise StreamInvalid(
            f"stream name {name!r} won't do; use 1 to {STREAM_NAME_BYTES_MAX} printable characters"
        )
    if not 1 <= spec.partitions <= PARTITIONS_MAX:
        raise StreamInvalid(
            f"stream {name!r} can't have {spec.partitions} partitions; use 1 to {PARTITIONS_MAX}"
        )
    check_limits(spec)
    if spec.compact_by is not None and spec.durability == "memory":
        raise StreamInvalid(f"stream {name!r} compacts, so its durability can't be 'memory'")
    if spec.durability not in CAPS.durabilities:
        raise StreamInvalid(
            f"stream {name!r} can't have durability {spec.durability!r}; "
            f"this engine has: {', '.join(sorted(CAPS.durabilities))}"
        )


def new_partitions(spec: StreamSpec, catalog: Catalog) -> list[PartitionState]:
    """The partitions of a stream that is to be created, with numbers that nobody has.

    Raises:
        StreamInvalid: the directory would hold too many.
    """
    if len(catalog.partitions) + spec.partitions > PARTITIONS_TOTAL_MAX:
        raise StreamInvalid(
            f"stream {spec.name!r} would bring the partitions of all streams to "
            f"{len(catalog.partitions) + spec.partitions}; at most {PARTITIONS_TOTAL_MAX}"
        )
    first = max((state.number for state in catalog.partitions.values()), default=0) + 1
    is_synced = spec.durability == "fsync"
    floor = catalog.offset_floor
    return [
        PartitionState(first + partition, spec.name, partition, is_synced, floor, floor)
        for partition in range(spec.partitions)
    ]


def ensure_statements(spec: StreamSpec, created: Sequence[PartitionState]) -> list[Statement]:
    """The changes that create a stream, or update its limits."""
    row = (
        spec.name,
        spec.partitions,
        spec.durability,
        spec.retention_age_ms,
        spec.retention_bytes,
        spec.retention_count,
        spec.behind,
        spec.compact_by,
        spec.tombstones_ms,
    )
    statements: list[Statement] = [(STREAM_SQL, [row])]
    if created:
        rows = [
            (state.number, state.stream, state.partition, state.log_start_offset)
            for state in created
        ]
        statements.append((PARTITION_SQL, rows))
    return statements


def apply_spec(spec: StreamSpec, created: Sequence[PartitionState], catalog: Catalog) -> None:
    """Tell the catalog of a stream that was created or changed."""
    catalog.specs[spec.name] = spec
    catalog.specs = dict(sorted(catalog.specs.items()))
    for state in created:
        catalog.partitions[state.stream, state.partition] = state
    for state in catalog.of_streams([spec.name]):
        state.is_synced = spec.durability == "fsync"
        state.is_volatile = spec.durability == "memory"
