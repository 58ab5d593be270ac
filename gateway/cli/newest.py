"""The newest records that somebody wants to see, found from the log's end backwards."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from gateway.cli.record_lines import Choice
from gateway.events import Origin, Record, RecordBatch, Run
from gateway.store import Gap, Scan, StreamReader

Key = tuple[str, int]
LAST_MAX = 100_000
"""How many records are held until they are printed."""

WINDOW_LEAST = 1_000


async def find_newest(
    reader: StreamReader, starts: Mapping[Key, int], stops: Mapping[Key, int], choice: Choice
) -> tuple[list[RecordBatch], list[Gap]]:
    """The last `choice.limit` chosen records of a stretch in merge order, and what was lost in it.

    Of each partition no more is read than about twice what has to be.
    """
    count = choice.limit or 0
    begins = {key: await begin_of(reader, key, starts[key], stops[key], choice) for key in starts}
    found: deque[Record] = deque(maxlen=count)
    scan = Scan(reader, begins, stops)
    async for batch in scan.batches():
        found.extend(chosen(batch, choice))
    return [batch_of(record) for record in found], scan.gaps


async def begin_of(reader: StreamReader, key: Key, start: int, stop: int, choice: Choice) -> int:
    """An offset behind which lie as many chosen records of a partition as are wanted, or all."""
    wanted = choice.limit or 0
    begin = stop
    while begin > start and wanted > 0:
        end, begin = begin, max(start, begin - max(stop - begin, wanted, WINDOW_LEAST))
        scan = Scan(reader, {key: begin}, {key: end})
        async for batch in scan.batches():
            wanted -= sum(1 for _ in chosen(batch, choice))
    return begin


def chosen(batch: RecordBatch, choice: Choice) -> Iterable[Record]:
    """The records of a batch that are wanted, oldest first."""
    return (record for record in batch.records() if choice.takes(origin_of(record)))


def origin_of(record: Record) -> Origin:
    """What a record is about."""
    return Origin(record.topic, record.device)


def batch_of(record: Record) -> RecordBatch:
    """A batch of this record alone."""
    run = Run(
        record.stream,
        record.partition,
        record.client,
        record.arrival_ms,
        [origin_of(record)],
        [record.payload],
        bytes([record.flags]),
        [record.properties],
    )
    return RecordBatch(record.stream, record.partition, record.offset, 0, [run])
