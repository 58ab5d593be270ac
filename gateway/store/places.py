"""Places in a log as people write them: `earliest`, `latest`, `@1234`, `-1h`, or an ISO time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from gateway.documents import parse_duration_ms
from gateway.store.cursors import Key
from gateway.store.protocol import StreamReader

OFFSET = re.compile(r"@(\d{1,15})")


class Place(NamedTuple):
    """An end of the log, an offset, or a moment in milliseconds since the Unix epoch."""

    kind: Literal["earliest", "latest", "offset", "time"]
    value: int = 0


def parse_place(text: str, now_ms: int) -> Place | None:
    """Read a place; None when it is none. A time without a zone is UTC."""
    if text in ("earliest", "latest"):
        return Place("earliest" if text == "earliest" else "latest")
    match = OFFSET.fullmatch(text)
    if match:
        return Place("offset", int(match[1]))
    if text.startswith("-"):
        ago_ms = parse_duration_ms(text[1:])
        return None if ago_ms is None else Place("time", now_ms - ago_ms)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Place("time", round(moment.timestamp() * 1000))


async def offsets_at(
    reader: StreamReader, partitions: Iterable[Key], place: Place
) -> dict[Key, int]:
    """The offset of each partition that lies at a place, or next to it inside the partition.

    Raises:
        UnknownStream: there is no such partition.
    """
    return {key: await offset_at(reader, key, place) for key in partitions}


async def offset_at(reader: StreamReader, key: Key, place: Place) -> int:
    """The offset of one partition that lies at a place, or next to it."""
    log_start_offset, log_end_offset = await reader.bounds(*key)
    if place.kind == "earliest":
        return log_start_offset
    if place.kind == "latest":
        return log_end_offset
    if place.kind == "offset":
        return min(max(place.value, log_start_offset), log_end_offset)
    found = await reader.offset_at(*key, place.value)
    return log_end_offset if found is None else found
