"""One row of the table `batches`: what stands beside a body, and the checksum over all of it.

The body itself is `gateway.store.batch_format`'s.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from gateway.events import RecordBatch
from gateway.store.batch_format import BatchDamaged, decode
from gateway.store.sqlite.schema import offset_of

CHECKED_COLUMNS = struct.Struct("<7q")


class BatchRow(NamedTuple):
    """The columns of `batches`, in their order."""

    id: int
    commit_no: int
    record_count: int
    first_ms: int
    last_ms: int
    payload_bytes: int
    log_bytes: int
    checksum: int
    body: bytes


COLUMNS = ", ".join(BatchRow._fields)


def checksum_of(columns: tuple[int, int, int, int, int, int, int], body: bytes) -> int:
    """CRC-32 over a row's seven columns before the checksum, and its body."""
    return zlib.crc32(body, zlib.crc32(CHECKED_COLUMNS.pack(*columns)))


def decode_row(row: BatchRow, stream: str, partition: int) -> RecordBatch:
    """Rebuild the batch that a row holds.

    Raises:
        BatchDamaged: the checksum or the body is not what was written.
    """
    if checksum_of(row[:7], row.body) != row.checksum:
        raise BatchDamaged(f"batch {row.id} doesn't match its checksum")
    runs = decode(row.body, stream, partition)
    batch = RecordBatch(stream, partition, offset_of(row.id), row.commit_no, runs)
    if batch.count != row.record_count:
        raise BatchDamaged(f"batch {row.id} has {batch.count} records, not {row.record_count}")
    return batch
