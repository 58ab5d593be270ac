"""What held of devices at a place of the log, for rules that begin there without knowing it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson

from gateway.devices import TWINS_STREAM, TWINS_TABLE, DocumentRefused, decode_twin
from gateway.errors import UnknownStream
from gateway.pipeline.devices.twins import TAGS_TABLE
from gateway.rules import Fact, decode_fact
from gateway.store import StreamReader

Place = tuple[str, str]
"""A device, and a part of what is known of it."""


async def facts_before(reader: StreamReader, group: str) -> list[Fact]:
    """Every fact that held where a consumer group stands."""
    offsets = [one.offsets for one in await reader.groups() if one.name == group]
    return await facts_at(
        reader, max((one.get((TWINS_STREAM, 0), 0) for one in offsets), default=0)
    )


async def facts_at(reader: StreamReader, offset: int) -> list[Fact]:
    """Every fact that held just before a record of the stream of twins, by device.

    What has not changed since then is what the tables say; the rest is what its last change before
    then says, or, when retention has removed that, nothing.
    """
    before: dict[Place, dict[str, Any]] = {}
    after: set[Place] = set()
    async for position, fact in _changes(reader):
        if position >= offset:
            parts = ("tags", "desired", "reported") if fact.part == "removed" else (fact.part,)
            after |= {(fact.device, part) for part in parts}
        elif fact.part == "removed":
            for place in [own for own in before if own[0] == fact.device]:
                del before[place]
        else:
            before[fact.device, fact.part] = fact.value
    found = {**await _tables(reader)}
    found = {place: value for place, value in found.items() if place not in after} | before
    return [Fact(device, part, value) for (device, part), value in sorted(found.items())]  # type: ignore[arg-type] # parts as the stream names them


async def _changes(reader: StreamReader) -> AsyncIterator[tuple[int, Fact]]:
    """Every change that is kept, oldest first, with its offset."""
    try:
        position, end_offset = await reader.bounds(TWINS_STREAM, 0)
    except UnknownStream:
        return
    while position < end_offset:
        chunk = await reader.fetch(TWINS_STREAM, 0, position)
        for record in (record for batch in chunk.batches for record in batch.records()):
            fact = decode_fact(record.topic, record.payload)
            if fact is not None:
                yield record.offset, fact
        position = max(chunk.next_offset, position + 1)


async def _tables(reader: StreamReader) -> dict[Place, dict[str, Any]]:
    """What holds now."""
    found: dict[Place, dict[str, Any]] = {}
    for device, encoded in await reader.entries(TAGS_TABLE):
        found[device, "tags"] = orjson.loads(encoded)
    for device, encoded in await reader.entries(TWINS_TABLE):
        try:
            twin = decode_twin(encoded)
        except DocumentRefused:
            continue
        found[device, "desired"] = twin.desired
        found[device, "reported"] = twin.reported
    return found
