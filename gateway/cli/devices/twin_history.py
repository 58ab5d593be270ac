"""How a twin was, from the stream of its changes: each says all of the part that it changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from gateway.devices import TWIN, TWINS_STREAM, Document, TwinEvent, decode_event
from gateway.store import StreamReader

WINDOW_RECORDS = 2_000
PARTS = ("desired", "reported", "tags")


@dataclass(slots=True)
class PastTwin:
    """The last change of each part before some record; a part without one was empty."""

    events: dict[str, TwinEvent] = field(default_factory=dict)

    def value(self, part: str) -> Document:
        """All of a part then."""
        event = self.events.get(part)
        return {} if event is None else event.value

    def version(self, part: str) -> int:
        """The version of a part then."""
        event = self.events.get(part)
        return 0 if event is None else event.version


async def past_twin(reader: StreamReader, device: str, stop_offset: int) -> PastTwin:
    """The twin of a device as the records before `stop_offset` have made it.

    Looks back no farther than it must. What retention has removed is taken as never said.

    Raises:
        UnknownStream: there are no twins in this log.
    """
    past = PastTwin()
    start_offset, end_offset = await reader.bounds(TWINS_STREAM, 0)
    stop = min(stop_offset, end_offset)
    while stop > start_offset and len(past.events) < len(PARTS):
        start = max(start_offset, stop - WINDOW_RECORDS)
        events = [event async for _, event in _events(reader, device, start, stop)]
        for event in reversed(events):
            if event.part == "removed":
                return past
            past.events.setdefault(event.part, event)
        stop = start
    return past


async def changes_of(reader: StreamReader, device: str) -> AsyncIterator[tuple[int, TwinEvent]]:
    """Every change that is kept, oldest first, with its offset."""
    start_offset, end_offset = await reader.bounds(TWINS_STREAM, 0)
    async for found in _events(reader, device, start_offset, end_offset):
        yield found


async def _events(
    reader: StreamReader, device: str, start: int, stop: int
) -> AsyncIterator[tuple[int, TwinEvent]]:
    topic = f"{TWIN}/{device}/changed"
    while start < stop:
        chunk = await reader.fetch(TWINS_STREAM, 0, start, records_max=min(2_000, stop - start))
        for record in (record for batch in chunk.batches for record in batch.records()):
            if record.topic == topic and record.offset < stop:
                event = decode_event(record.payload)
                if event is not None:
                    yield record.offset, event
        start = max(chunk.next_offset, start + 1)
