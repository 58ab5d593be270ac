"""Session states as bytes: what must survive a crash, in a form that is for ever.

Where the bytes are kept is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from gateway.mqtt import Will
from gateway.session.state import Grant, Position, SessionState, Tally

FORMAT = 1
Slot = tuple[str, int]


class Snapshot(msgspec.Struct, array_like=True):
    """The fields of a session state in their order on disk; new ones go to the end."""

    format: int
    expiry_ms: int | None
    grants: list[Grant]
    in_flight: list[tuple[bytes, Position]]
    releasing: list[bytes]
    received: list[bytes]
    last_packet_id: int
    positions: list[tuple[str, int, int]]
    replays: list[tuple[str, list[tuple[str, int, int]]]]
    will: Will | None
    tally: tuple[int, int, int, int] | None = None


DECODER = msgspec.msgpack.Decoder(Snapshot)
ENCODER = msgspec.msgpack.Encoder()


def encode_state(
    state: SessionState,
    positions: Mapping[Slot, int],
    also_received: Iterable[bytes] = (),
) -> bytes:
    """Write a state down, with where it stands in the log.

    `also_received` are QoS 2 packets that the same commit stores.
    """
    snapshot = Snapshot(
        FORMAT,
        state.expiry_ms,
        list(state.grants_by_filter.values()),
        list(state.in_flight.items()),
        list(state.releasing),
        list(dict.fromkeys([*state.received, *also_received])),
        state.last_packet_id,
        _rows(positions),
        [(topic_filter, _rows(own)) for topic_filter, own in state.replays.items()],
        state.will,
        (state.tally.owed, state.tally.delivered, state.tally.expired, state.tally.dropped),
    )
    return ENCODER.encode(snapshot)


def decode_state(client_id: str, encoded: bytes) -> SessionState:
    """Read a state back.

    Raises:
        ValueError: the bytes are no state, or a newer program's.
    """
    snapshot = DECODER.decode(encoded)
    if snapshot.format != FORMAT:
        raise ValueError(f"session format {snapshot.format}; this program knows {FORMAT}")
    state = SessionState(
        client_id,
        snapshot.expiry_ms,
        {grant.topic_filter: grant for grant in snapshot.grants},
        dict(snapshot.in_flight),
        dict.fromkeys(snapshot.releasing),
        dict.fromkeys(snapshot.received),
        snapshot.last_packet_id,
        _positions(snapshot.positions),
        snapshot.will,
        {topic_filter: _positions(rows) for topic_filter, rows in snapshot.replays},
    )
    # An earlier program kept no tally: it begins with what is open.
    state.tally = Tally(*snapshot.tally) if snapshot.tally else Tally(state.unacknowledged)
    return state


def _rows(positions: Mapping[Slot, int]) -> list[tuple[str, int, int]]:
    return [(stream, partition, offset) for (stream, partition), offset in positions.items()]


def _positions(rows: Iterable[tuple[str, int, int]]) -> dict[Slot, int]:
    return {(stream, partition): offset for stream, partition, offset in rows}
