"""What `penstock audit` finds of durable MQTT sessions: what became of what each was owed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gateway.events import Record
from gateway.mqtt import matches
from gateway.server import SHARES_TABLE, SavedGroup, ShareTally, decode_share
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
        who = f"the session of '{state.client_id}'"
        breaks += await find_in_positions(reader, who, state.positions or {})
    return accounts, breaks


async def account_for_shares(reader: StreamReader) -> tuple[list[dict[str, Any]], list[str]]:
    """The account of each shared group, and what breaks one; as `account_for_sessions`."""
    accounts: list[dict[str, Any]] = []
    breaks: list[str] = []
    groups: dict[str, SavedGroup] = {}
    for topic_filter, encoded in await reader.entries(SHARES_TABLE):
        try:
            groups[topic_filter] = decode_share(encoded)
        except ValueError as error:
            breaks.append(f"the shared group '{topic_filter}' can't be read: {error}")
    pending = await count_wanted(reader, [wish_of(name, own) for name, own in groups.items()])
    for name, own in groups.items():
        tally = own.tally or ShareTally(len(own.unacknowledged))
        accounts.append(
            {
                "share": name,
                "matched": tally.matched,
                "given": tally.given,
                "expired": tally.expired,
                "in_flight": len(own.unacknowledged),
                "lost_offsets": tally.lost,
                "pending": pending[name],
                "unaccounted": own.unaccounted,
            }
        )
        if own.unaccounted:
            breaks.append(f"the shared group '{name}' can't explain {own.unaccounted}")
        positions = {(stream, partition): offset for stream, partition, offset in own.positions}
        breaks += await find_in_positions(reader, f"the shared group '{name}'", positions)
    return accounts, breaks


async def find_in_positions(
    reader: StreamReader, who: str, positions: Mapping[Key, int]
) -> list[str]:
    """Where a session or a shared group stands behind the end of the log."""
    ends = await offsets_at(reader, await lasting_keys(reader), Place("latest"))
    return [
        f"{who} stands at {offset} in {stream}/{partition}, which ends at {ends[stream, partition]}"
        for (stream, partition), offset in positions.items()
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
    wishes = [
        Wish(
            state.client_id,
            state.positions or {},
            tuple(wanted_grants(state.grants_by_filter.values())),
        )
        for state in states
    ]
    return await count_wanted(reader, wishes)


async def count_wanted(reader: StreamReader, wishes: Sequence[Wish]) -> dict[str, int]:
    """How many records of the log each of these has still before it, by name."""
    counts = {wish.name: 0 for wish in wishes}
    starts: dict[Key, int] = {}
    for wish in wishes:
        for key, offset in wish.positions.items():
            starts[key] = min(starts.get(key, offset), offset)
    ends = await offsets_at(reader, await known_keys(reader), Place("latest"))
    starts = {key: offset for key, offset in starts.items() if offset < ends.get(key, 0)}
    if not starts:
        return counts
    scan = Scan(reader, starts, {key: ends[key] for key in starts})
    async for batch in scan.batches():
        key = (batch.stream, batch.partition)
        for record in batch.records():
            for wish in wishes:
                counts[wish.name] += wish.wants(key, record)
    return counts


class Wish(NamedTuple):
    """What a session or a shared group asks of the log, from where on."""

    name: str
    positions: Mapping[Key, int]
    grants: Sequence[Grant]
    takes_qos_0: bool = False

    def wants(self, key: Key, record: Record) -> bool:
        """Whether a record is one that it has still to get."""
        offset = self.positions.get(key)
        if offset is None or record.offset < offset:
            return False
        if not (self.takes_qos_0 or record.flags & QOS_BITS):
            return False
        is_own = record.client == self.name
        return any(
            not (own.no_local and is_own) and matches(own.pattern, record.topic)
            for own in self.grants
        )


def wish_of(topic_filter: str, saved: SavedGroup) -> Wish:
    """What a shared group asks of the log."""
    positions = {(stream, partition): offset for stream, partition, offset in saved.positions}
    return Wish(topic_filter, positions, (Grant(topic_filter, 0),), takes_qos_0=True)


def wanted_grants(grants: Iterable[Grant]) -> Iterator[Grant]:
    """Those that promise delivery and are the session's own."""
    return (own for own in grants if own.qos and not own.is_shared)
