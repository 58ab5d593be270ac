"""A consumer group that is to see only what comes from now on."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.store.protocol import ConsumerStore


async def begin_at_end(store: ConsumerStore, group: str, streams: Sequence[str]) -> bool:
    """Commit the ends of the streams for a group that has committed nothing yet.

    Do it before anything new can be written. Returns whether the group begins here; a group that
    has read before goes on where it was.
    """
    if any(found.name == group and found.offsets for found in await store.groups()):
        return False
    await _commit_ends(store, group, streams)
    return True


async def begin_streams_at_end(store: ConsumerStore, group: str, streams: Sequence[str]) -> None:
    """Commit the ends of those streams of which the group has committed nothing yet."""
    read = {
        stream
        for found in await store.groups()
        if found.name == group
        for stream, _ in found.offsets
    }
    new = [stream for stream in streams if stream not in read]
    if new:
        await _commit_ends(store, group, new)


async def _commit_ends(store: ConsumerStore, group: str, streams: Sequence[str]) -> None:
    partitions = {spec.name: spec.partitions for spec in await store.streams()}
    offsets = {
        (stream, number): (await store.bounds(stream, number)).log_end_offset
        for stream in streams
        for number in range(partitions[stream])
    }
    member = store.join(group, streams)
    try:
        await member.commit(offsets=offsets)
    finally:
        await member.close()
