"""One row of the table `batches`: what stands beside a body, and the checksum over all of it.

The body itself is `gateway.store.batch_format`'s.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from gateway.events import RecordBatch
from gateway.store.batch_format import BatchDamaged, decode
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


def checksum_of(columns: Sequence[int], body: bytes) -> int:
    """CRC-32 over a row's first eight columns, those before `is_fence`, and its body."""
    return zlib.crc32(body, zlib.crc32(CHECKED_COLUMNS.pack(*columns)))


def is_intact(row: BatchRow) -> bool:
    """Whether the row is what was written, whatever types its columns have come to."""
    try:
        return checksum_of(row[:8], row.body) == row.checksum
    except (struct.error, TypeError):
        return False


def decode_row(row: BatchRow, stream: str, partition: int) -> RecordBatch:
    """Rebuild the batch that a row holds.

    Raises:
        BatchDamaged: the checksum or the body is not what was written.
    """
    if not is_intact(row):
        raise BatchDamaged(f"batch {row.id} doesn't match its checksum")
    runs = decode(row.body, stream, partition)
    batch = RecordBatch(stream, partition, row.base_offset, commit_no_of(row.id), runs)
    if batch.count != row.record_count:
        raise BatchDamaged(f"batch {row.id} has {batch.count} records, not {row.record_count}")
    return batch
