"""How much one read may return: at least one record when there is one, then up to two limits."""

from __future__ import annotations

from gateway.events import RecordBatch


class Allowance:
    """What is left of a read's limits, in records and in payload bytes."""

    def __init__(self, records_max: int, bytes_max: int) -> None:
        self.records = max(records_max, 1)
        self.bytes = bytes_max
        self._is_untouched = True

    def take(self, batch: RecordBatch) -> RecordBatch | None:
        """Return the batch, or the front of it that still fits, or None when nothing of it does.

        A batch that was cut or refused ends the read: nothing fits after it.
        """
        payload_bytes = sum(sum(map(len, run.payloads)) for run in batch.runs)
        if batch.count <= self.records and payload_bytes <= self.bytes:
            self.records -= batch.count
            self.bytes -= payload_bytes
            self._is_untouched = False
            return batch
        fitting = self._count_fitting(batch)
        self.records = 0
        self._is_untouched = False
        return batch.slice(batch.base_offset, batch.base_offset + fitting) if fitting else None

    def _count_fitting(self, batch: RecordBatch) -> int:
        if self.records == 0:
            return 0
        left_bytes = self.bytes
        fitting = 0
        for run in batch.runs:
            for payload in run.payloads:
                left_bytes -= len(payload)
                is_first = self._is_untouched and fitting == 0
                if fitting == self.records or (left_bytes < 0 and not is_first):
                    return fitting
                fitting += 1
        return fitting
