"""From an alert that a derived record has brought about, back to the event behind both."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from gateway.errors import MalformedPacket, PenstockError, ProtocolError
from gateway.mqtt import decode_publish_properties
from gateway.rules import RULES_CLIENT
from gateway.store import StreamReader

PlaceOf = tuple[str, int, int]
"""Stream, partition and offset of a record."""

ID_PROPERTY = "penstock-id"
CAUSE = re.compile(r"@([^@:]+):([0-9]+):([0-9]+):[0-9]+\Z")
DEPTH_MAX: Final = 64
NOWHERE: PlaceOf = ("", 0, 0)


async def event_behind(reader: StreamReader, place: PlaceOf, streams: Collection[str]) -> PlaceOf:
    """The record in one of `streams` of which the record at `place` was derived, step by step.

    That at `place` itself where it lies in one of them; nowhere, where the log no longer tells.
    """
    for _ in range(DEPTH_MAX):
        if place[0] in streams or not place[0]:
            return place
        place = await _cause_of(reader, place)
    return NOWHERE


async def _cause_of(reader: StreamReader, place: PlaceOf) -> PlaceOf:
    """What brought a derived record about: its id says so."""
    try:
        chunk = await reader.fetch(*place, records_max=1)
    except PenstockError:
        return NOWHERE  # the stream is gone
    for record in (record for batch in chunk.batches for record in batch.records()):
        if record.offset == place[2] and record.client == RULES_CLIENT:
            return cause_in(record.properties)
    return NOWHERE


def cause_in(properties: bytes) -> PlaceOf:
    """The cause that the id among a derived record's properties names."""
    try:
        found = dict(decode_publish_properties(properties).user_properties).get(ID_PROPERTY, "")
    except (MalformedPacket, ProtocolError):
        return NOWHERE
    match = CAUSE.search(found)
    return NOWHERE if match is None else (match[1], int(match[2]), int(match[3]))
