"""Records for the store's tests, and what a log gave back in a form that is easily compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.events import Origin, Record, RecordBatch, Run
from gateway.store import StreamReader, Tail

STREAM = "telemetry"
BASE_MS = 1_700_000_000_000


def a_run(
    *payloads: bytes,
    partition: int = 0,
    stream: str = STREAM,
    arrival_ms: int = BASE_MS,
    client: str = "client-1",
) -> Run:
    """A run of payloads about two devices in turn."""
    origins = [Origin(f"plant/pump-{number % 2}/t", f"pump-{number % 2}") for number in range(2)]
    count = len(payloads)
    return Run(
        stream,
        partition,
        client,
        arrival_ms,
        [origins[number % 2] for number in range(count)],
        list(payloads),
        bytes(number % 4 for number in range(count)),
    )


def numbered(first: int, count: int, **settings: object) -> Run:
    """A run whose payloads are consecutive numbers."""
    return a_run(*(b"%d" % number for number in range(first, first + count)), **settings)


def copy_of(run: Run) -> Run:
    """A run that the store doesn't own."""
    return run.slice(0, len(run))


def records_of(batches: Iterable[RecordBatch]) -> list[Record]:
    return [record for batch in batches for record in batch.records()]


def payloads_of(batches: Iterable[RecordBatch]) -> list[bytes]:
    return [record.payload for record in records_of(batches)]


async def everything(
    reader: StreamReader, stream: str = STREAM, partition: int = 0
) -> list[Record]:
    """Fetch a partition from its start to its end."""
    offset, end = await reader.bounds(stream, partition)
    found: list[Record] = []
    while offset < end:
        chunk = await reader.fetch(stream, partition, offset)
        assert chunk.next_offset > offset
        found += records_of(chunk.batches)
        offset = chunk.next_offset
    return found


async def take(tail: Tail, count: int) -> Sequence[RecordBatch]:
    """Read a tail until it has given `count` records."""
    batches: list[RecordBatch] = []
    while sum(batch.count for batch in batches) < count:
        batches += await tail.next()
    return batches


def assert_in_merge_order(batches: Sequence[RecordBatch]) -> None:
    places = [(b.commit_no, b.stream, b.partition, b.base_offset) for b in batches]
    assert places == sorted(places)
