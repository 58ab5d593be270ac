"""How far a group is behind: records, bytes, age, and how long until retention takes the unread.

It uses what every reader offers, so it works beside a running gateway and on a stopped one.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.store.forecasts import time_to_loss
from gateway.store.protocol import GroupOffsets, StreamReader


class Lag(NamedTuple):
    """How far a group is behind in one partition.

    Sizes are of whole batches on disk. `age_ms` is that of the oldest unread record;
    `time_to_loss_ms` is None when nothing is unread or no limit will reach it.
    """

    stream: str
    partition: int
    committed_offset: int
    log_end_offset: int
    records: int
    stored_bytes: int
    lost_records: int
    age_ms: int | None
    time_to_loss_ms: int | None


async def lags_of(reader: StreamReader, group: GroupOffsets, now_ms: int) -> list[Lag]:
    """How far a group is behind, by stream and partition; streams that are gone are left out."""
    lags = []
    specs = {spec.name: spec for spec in await reader.streams()}
    for name in sorted({stream for stream, _ in group.offsets} & specs.keys()):
        committed = {number: at for (stream, number), at in group.offsets.items() if stream == name}
        losses = await time_to_loss(reader, specs[name], committed, now_ms)
        for partition, offset in sorted(committed.items()):
            start_offset, end_offset = await reader.bounds(name, partition)
            first = max(offset, start_offset)
            unread = await reader.unread(name, partition, first)
            age_ms = None if unread.first_ms is None else max(now_ms - unread.first_ms, 0)
            lags.append(
                Lag(
                    name,
                    partition,
                    offset,
                    end_offset,
                    unread.records,
                    unread.stored_bytes,
                    first - offset,
                    age_ms,
                    losses.get(partition) if unread.records else None,
                )
            )
    return lags


def shortest(times_ms: list[int | None]) -> int | None:
    """The least of the times that are known."""
    return min((own for own in times_ms if own is not None), default=None)
