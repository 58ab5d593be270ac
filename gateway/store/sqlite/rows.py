"""One row of the table `batches`: what stands beside a body, and the checksum over all of it.

The body itself is `gateway.store.batch_format`'s.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from gateway.events import RecordBatch
from gateway.store.batch_format import BatchDamaged, Stretch, decode
from gateway.store.sqlite.schema import commit_no_of

CHECKED_COLUMNS = struct.Struct("<8q")


class BatchRow(NamedTuple):
    """The columns of `batches`, in their order."""

    id: int
    partition_number: int
    base_offset: int
    record_count: int
    first_ms: int
    last_ms: int
    payload_bytes: int
    log_bytes: int
    is_fence: int
    checksum: int
    body: bytes


COLUMNS = ", ".join(BatchRow._fields)


@lru_cache(maxsize=256)
def insert_sql(row_count: int) -> str:
    """The statement that inserts so many batches at once."""
    row = f"({', '.join('?' * len(BatchRow._fields))})"
    return f"INSERT INTO batches VALUES {', '.join([row] * row_count)}"  # noqa: S608 - no values


def checksum_of(columns: Sequence[int], body: bytes) -> int:
    """CRC-32 over a row's first eight columns, those before `is_fence`, and its body."""
    return zlib.crc32(body, zlib.crc32(CHECKED_COLUMNS.pack(*columns)))


def is_intact(row: BatchRow) -> bool:
    """Whether the row is what was written, whatever types its columns have come to."""
    try:
        return checksum_of(row[:8], row.body) == row.checksum
    except (struct.error, TypeError):
        return False


def decode_row(row: BatchRow, stream: str, partition: int) -> list[RecordBatch]:
    """Rebuild the batch that a row holds; several where compaction has left holes in it.

    Raises:
        BatchDamaged: the checksum or the body is not what was written.
    """
    if not is_intact(row):
        raise BatchDamaged(f"batch {row.id} doesn't match its checksum")
    runs, kept = decode(row.body, stream, partition)
    batch = RecordBatch(stream, partition, row.base_offset, commit_no_of(row.id), runs)
    if kept is not None:
        return spread(batch, kept, row)
    if batch.count != row.record_count:
        raise BatchDamaged(f"batch {row.id} has {batch.count} records, not {row.record_count}")
    return [batch]


def spread(packed: RecordBatch, kept: Sequence[Stretch], row: BatchRow) -> list[RecordBatch]:
    """Put the records of a sparse batch, which lie close together in it, where they belong.

    Raises:
        BatchDamaged: their places aren't in the row, or not in order.
    """
    found = []
    position = start = row.base_offset
    for first, count in kept:
        base_offset = row.base_offset + first
        if base_offset < position or count < 1:
            raise BatchDamaged(f"batch {row.id} has records out of place")
        part = packed.slice(start, start + count)
        found.append(replace(part, base_offset=base_offset))
        start += count
        position = base_offset + count
    if position > row.base_offset + row.record_count:
        raise BatchDamaged(f"batch {row.id} has records beyond its end")
    return found
