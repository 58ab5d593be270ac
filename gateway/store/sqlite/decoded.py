"""The rows that were decoded last: those who come back after the same outage read the same ones.

A thousand sessions behind the same stretch of the log would decode each of its batches a thousand
times. What is kept is bounded, and each row is held against its checksum all the same.
"""

from __future__ import annotations

from collections import OrderedDict

from gateway.events import RecordBatch
from gateway.store.batch_format import BatchDamaged
from gateway.store.sqlite.rows import BatchRow, decode_row, is_intact

DECODED_BYTES_MAX = 8 << 20
# About what a record takes in memory beside its payload.
RECORD_BYTES = 200

RowKey = tuple[str, int, int, int, int]


class DecodedRows:
    """Decodes rows, and remembers the latest as far as `bytes_max` goes."""

    def __init__(self, bytes_max: int = DECODED_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._kept: OrderedDict[RowKey, tuple[list[RecordBatch], int]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def decode(self, row: BatchRow, stream: str, partition: int) -> list[RecordBatch]:
        """Do as `decode_row`.

        Raises:
            BatchDamaged: the checksum or the body is not what was written.
        """
        # A row that compaction has written anew has another checksum or another length.
        key = (stream, partition, row.id, row.checksum, len(row.body))
        found = self._kept.get(key)
        if found is None:
            batches = decode_row(row, stream, partition)
            self._keep(key, batches, row)
            return batches
        if not is_intact(row):
            raise BatchDamaged(f"batch {row.id} doesn't match its checksum")
        self._kept.move_to_end(key)
        return found[0]

    def _keep(self, key: RowKey, batches: list[RecordBatch], row: BatchRow) -> None:
        size = row.payload_bytes + RECORD_BYTES * row.record_count
        self._kept[key] = (batches, size)
        self._bytes += size
        while self._bytes > self._bytes_max:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._bytes -= dropped
