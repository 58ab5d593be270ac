"""What a worker wants of a stream, and stepping over the rest."""

from __future__ import annotations

from collections.abc import Callable

from gateway.events import Record
from gateway.store.protocol import Chunk

LOOKED_AT_MAX = 4_000
"""How many records are looked at in one step."""

Wanted = Callable[[Record], bool]
"""Whether a worker wants a record at all."""


def pick(chunk: Chunk, wanted: Wanted, records_max: int) -> tuple[list[Record], int]:
    """The first records of a chunk that are wanted, and the offset to go on from."""
    found: list[Record] = []
    for batch in chunk.batches:
        for record in batch.records():
            if len(found) == records_max:
                return found, record.offset
            if wanted(record):
                found.append(record)
    return found, chunk.next_offset
