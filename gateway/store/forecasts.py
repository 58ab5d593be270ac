"""When retention will remove what a consumer group has not read yet, at the present rate.

Pure arithmetic, and one function that reads what it needs from any log. What retention then does is
`gateway.store.sqlite.retention`'s affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gateway.store.protocol import StreamReader, StreamSpec

RATE_WINDOW_MS = 600_000


class Load(NamedTuple):
    """How fast a whole stream grows."""

    records_per_s: float
    bytes_per_s: float


class Backlog(NamedTuple):
    """What a stream holds from a group's next record on, over all its partitions, by arrival.

    `first_ms` is the arrival of that record; None when there is nothing to read.
    """

    first_ms: int | None
    records: float
    stored_bytes: float


def time_to_loss_ms(spec: StreamSpec, backlog: Backlog, load: Load, now_ms: int) -> int | None:
    """How long the next unread record has left, if the group reads nothing and the load stays.

    0 when it may go at once; None when there is nothing to lose, or no limit that will be reached.
    """
    if backlog.first_ms is None:
        return None
    left_ms: list[float] = []
    if spec.retention_age_ms is not None:
        left_ms.append(backlog.first_ms + spec.retention_age_ms - now_ms)
    for limit, used, per_s in (
        (spec.retention_bytes, backlog.stored_bytes, load.bytes_per_s),
        (spec.retention_count, backlog.records, load.records_per_s),
    ):
        if limit is not None and used >= limit:
            left_ms.append(0)
        elif limit is not None and per_s > 0:
            left_ms.append((limit - used) / per_s * 1000)
    return max(int(min(left_ms)), 0) if left_ms else None


async def time_to_loss(
    reader: StreamReader, spec: StreamSpec, committed_offsets: Mapping[int, int], now_ms: int
) -> dict[int, int | None]:
    """The time to loss of a group in each partition that it has committed an offset of.

    Bytes within a partition are taken to be spread evenly over its records.

    Raises:
        StoreUnavailable: the disk refused.
    """
    load = await load_of(reader, spec, now_ms)
    return {
        partition: time_to_loss_ms(
            spec, await backlog_of(reader, spec, partition, offset), load, now_ms
        )
        for partition, offset in committed_offsets.items()
    }


async def load_of(reader: StreamReader, spec: StreamSpec, now_ms: int) -> Load:
    """How fast the stream has grown over the last `RATE_WINDOW_MS`, or since it began."""
    extents = await reader.extents(spec.name)
    firsts = [extent.first_ms for extent in extents if extent.first_ms is not None]
    since_ms = max(now_ms - RATE_WINDOW_MS, min(firsts, default=now_ms))
    grown = await held_since(reader, spec, since_ms)
    elapsed_s = max(now_ms - since_ms, 1000) / 1000
    return Load(grown.records / elapsed_s, grown.stored_bytes / elapsed_s)


async def backlog_of(
    reader: StreamReader, spec: StreamSpec, partition: int, committed_offset: int
) -> Backlog:
    """What the stream holds from the record at `committed_offset`, or the next there is, on."""
    bounds = await reader.bounds(spec.name, partition)
    offset = max(committed_offset, bounds.log_start_offset)
    if offset >= bounds.log_end_offset:
        return Backlog(None, 0, 0)
    chunk = await reader.fetch(spec.name, partition, offset, records_max=1)
    if not chunk.batches:
        return Backlog(None, 0, 0)
    first_ms = chunk.batches[0].runs[0].arrival_ms
    return await held_since(reader, spec, first_ms)


async def held_since(reader: StreamReader, spec: StreamSpec, since_ms: int) -> Backlog:
    """What the stream holds from the first record that arrived at `since_ms` or later on."""
    records = stored_bytes = 0.0
    for extent in await reader.extents(spec.name):
        offset = await reader.offset_at(spec.name, extent.partition, since_ms)
        count = extent.log_end_offset - extent.log_start_offset
        if offset is not None and count > 0:
            fresh_count = max(extent.log_end_offset - offset, 0)
            records += fresh_count
            stored_bytes += extent.stored_bytes * min(fresh_count / count, 1)
    return Backlog(since_ms, records, stored_bytes)
