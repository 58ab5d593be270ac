"""Reading a stretch of the log once, merged over partitions, without waiting for more.

It uses nothing but `fetch` and `bounds`, so it reads every engine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from gateway.errors import OffsetOutOfRange
from gateway.events import RecordBatch
from gateway.store.cursors import Key
from gateway.store.protocol import Gap, StreamReader

RECORDS_BUFFERED_MAX = 10_000


class Scan:
    """Goes over offsets `starts` … `stops` - 1 of the partitions that both name.

    `gaps` gathers what was lost on the way.
    """

    def __init__(
        self, reader: StreamReader, starts: Mapping[Key, int], stops: Mapping[Key, int]
    ) -> None:
        self.gaps: list[Gap] = []
        self._reader = reader
        self._positions = {key: starts[key] for key in starts if key in stops}
        self._stops = stops

    async def batches(self) -> AsyncIterator[RecordBatch]:
        """Yield every batch, ordered as `Tail.next` orders them, cut at both ends.

        Raises:
            OffsetOutOfRange: a start lies past the log end.
            UnknownStream: there is no such partition.
        """
        buffers: dict[Key, list[RecordBatch]] = {}
        for key in self._positions:
            buffers[key] = await self._read(key)
        while True:
            fronts = [(own[-1].commit_no, key) for key, own in buffers.items() if own]
            if not fronts:
                return
            key = min(fronts)[1]
            yield buffers[key].pop()
            if not buffers[key]:
                buffers[key] = await self._read(key)

    async def _read(self, key: Key) -> list[RecordBatch]:
        """The next batches of one partition, the first of them last; empty at its stop."""
        while self._positions[key] < self._stops[key]:
            position = self._positions[key]
            records_max = min(self._stops[key] - position, RECORDS_BUFFERED_MAX)
            try:
                chunk = await self._reader.fetch(*key, position, records_max=records_max)
            except OffsetOutOfRange:
                await self._skip_removed(key)
                continue
            if chunk.next_offset == position:
                break
            self._positions[key] = chunk.next_offset
            self.gaps.extend(chunk.gaps)
            # Over a hole, a limit in records reaches further than the stop.
            kept = [batch.slice(position, self._stops[key]) for batch in chunk.batches]
            if any(batch.count for batch in kept):
                return [batch for batch in reversed(kept) if batch.count]
        return []

    async def _skip_removed(self, key: Key) -> None:
        """Go on where retention has left something."""
        log_start_offset, log_end_offset = await self._reader.bounds(*key)
        position = self._positions[key]
        if position >= log_start_offset:
            raise OffsetOutOfRange(
                f"{key[0]}/{key[1]} holds offsets {log_start_offset} … {log_end_offset - 1}, "
                f"not {position}"
            )
        self.gaps.append(Gap(*key, position, log_start_offset, "removed"))
        self._positions[key] = log_start_offset
