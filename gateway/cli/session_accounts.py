"""What `penstock audit` finds of durable MQTT sessions: what became of what each was owed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gateway.events import Record
from gateway.mqtt import matches
from gateway.session import Grant, SessionState, decode_state
from gateway.store import Place, Scan, StreamReader, offsets_at

SESSIONS_TABLE = "sessions"
QOS_BITS = 0x06
Key = tuple[str, int]


async def account_for_sessions(reader: StreamReader) -> tuple[list[dict[str, Any]], list[str]]:
    """The account of each session, and what breaks one.

    Each is one row, so that a running gateway changes none of it halfway; only what is still to be
    sent is counted in the log as it is now.
    """
    accounts: list[dict[str, Any]] = []
    breaks: list[str] = []
    states: list[SessionState] = []
    for client_id, encoded in await reader.entries(SESSIONS_TABLE):
        try:
            states.append(decode_state(client_id, encoded))
        except ValueError as error:
            breaks.append(f"the session of '{client_id}' can't be read: {error}")
    pending = await count_pending(reader, states)
    for state in states:
        tally = state.tally
        accounts.append(
            {
                "client": state.client_id,
                "owed": tally.owed,
                "delivered": tally.delivered,
                "expired": tally.expired,
                "dropped": tally.dropped,
                "in_flight": state.unacknowledged,
                "pending": pending[state.client_id],
                "unaccounted": state.unaccounted,
            }
        )
        if state.unaccounted:
            breaks.append(f"the session of '{state.client_id}' can't explain {state.unaccounted}")
        breaks += await find_in_positions(reader, state)
    return accounts, breaks


async def find_in_positions(reader: StreamReader, state: SessionState) -> list[str]:
    """Where a session stands behind the end of the log."""
    ends = await offsets_at(reader, await lasting_keys(reader), Place("latest"))
    return [
        f"the session of '{state.client_id}' stands at {offset} in {stream}/{partition}, which "
        f"ends at {ends[stream, partition]}"
        for (stream, partition), offset in (state.positions or {}).items()
        if offset > ends.get((stream, partition), offset)
    ]


async def lasting_keys(reader: StreamReader) -> list[Key]:
    """Every partition but those of memory streams, whose readers may be ahead of the file."""
    volatile = {own.name for own in await reader.streams() if own.durability == "memory"}
    return [key for key in await known_keys(reader) if key[0] not in volatile]


async def known_keys(reader: StreamReader) -> list[Key]:
    """Every partition of the log."""
    return [(own.name, part) for own in await reader.streams() for part in range(own.partitions)]


async def count_pending(reader: StreamReader, states: Sequence[SessionState]) -> dict[str, int]:
    """How many messages of the log each session has still to get, by its filters."""
    counts = dict.fromkeys((state.client_id for state in states), 0)
    wishes = [Wish(state) for state in states]
    starts: dict[Key, int] = {}
    for wish in wishes:
        for key, offset in wish.positions.items():
            starts[key] = min(starts.get(key, offset), offset)
    known = await known_keys(reader)
    starts = {key: offset for key, offset in starts.items() if key in known}
    if not starts:
        return counts
    scan = Scan(reader, starts, await offsets_at(reader, list(starts), Place("latest")))
    async for batch in scan.batches():
        key = (batch.stream, batch.partition)
        for record in batch.records():
            if record.flags & QOS_BITS:
                for wish in wishes:
                    counts[wish.client_id] += wish.wants(key, record)
    return counts


class Wish:
    """What a session asks of the log."""

    def __init__(self, state: SessionState) -> None:
        self.client_id = state.client_id
        self.positions: Mapping[Key, int] = state.positions or {}
        self._grants = list(wanted_grants(state.grants_by_filter.values()))

    def wants(self, key: Key, record: Record) -> bool:
        """Whether a record is one that it has still to get at QoS 1 or 2."""
        offset = self.positions.get(key)
        if offset is None or record.offset < offset:
            return False
        is_own = record.client == self.client_id
        return any(
            not (own.no_local and is_own) and matches(own.pattern, record.topic)
            for own in self._grants
        )


def wanted_grants(grants: Iterable[Grant]) -> Iterator[Grant]:
    """Those that promise delivery and are the session's own."""
    return (own for own in grants if own.qos and not own.is_shared)
