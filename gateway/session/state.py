"""What a session remembers when its connection ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.mqtt import Will

PACKET_ID_MAX = 0xFFFF
REPLAY_PREFIX = "$replay/"
SHARE_PREFIX = "$share/"


class Position(NamedTuple):
    """Where one delivered record lies in the log, and the QoS it was delivered with.

    A retained message that a subscription brought has no place of its own: `stream` is empty, and
    `topic` says which it was. `share` is the shared subscription that it was sent for, if any.
    """

    stream: str
    partition: int
    offset: int
    qos: int
    topic: str = ""
    share: str = ""


class Grant(NamedTuple):
    """What the gateway granted for one topic filter.

    `start` says from where history is delivered first (`earliest`, `@1234`, `-1h`, an ISO time); it
    is empty for a subscription that begins now. With `takes_references`, payloads that lie in blobs
    are not sent, but references to them.

    Spec: MQTT5 §3.8.3.1
    """

    topic_filter: str
    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0
    subscription_id: int | None = None
    start: str = ""
    takes_references: bool = False

    @property
    def is_shared(self) -> bool:
        return self.topic_filter.startswith(SHARE_PREFIX)

    @property
    def pattern(self) -> str:
        """The filter that topics must match, without what stands before it."""
        if self.topic_filter.startswith((REPLAY_PREFIX, SHARE_PREFIX)):
            return self.topic_filter.split("/", 2)[2]
        return self.topic_filter


@dataclass(slots=True)
class Tally:
    """What became of the QoS 1 and 2 messages that a session was owed since it began.

    `owed` = `delivered` (acknowledged) + `expired` (gone or too old before that) + `dropped` (more
    than the client takes) + what is in flight and being released: always, and across crashes, since
    all of it is written down together.
    """

    owed: int = 0
    delivered: int = 0
    expired: int = 0
    dropped: int = 0


@dataclass(slots=True)
class SessionState:
    """One client's session as the specification has it, apart from any connection.

    Packet identifiers are the two bytes of the wire, collections of them oldest first. `in_flight`
    holds what was sent and neither acknowledged (QoS 1) nor received (QoS 2); `releasing` what the
    client received and has not completed; `received` the QoS 2 messages that the client has not
    released. `positions` says where delivery goes on, by (stream, partition), for a session that is
    not at the tail; None means at the tail. `will` is a will message that waits for its delay.
    `replays` says where each subscription is that is still being served history. `underway` are
    QoS 2 messages on their way to the log, and `forgetting` released ones that a crash would bring
    back; neither is written down. `expiry_ms` is how long the state outlives its connection; None
    keeps it for ever.

    Spec: MQTT5 §4.1 [MQTT5-4.1.0-1], MQTT311 §3.1.2.4, §4.1 [MQTT311-4.1.0-1] [MQTT311-4.1.0-2]
    """

    client_id: str
    expiry_ms: int | None = 0
    grants_by_filter: dict[str, Grant] = field(default_factory=dict)
    in_flight: dict[bytes, Position] = field(default_factory=dict)
    releasing: dict[bytes, None] = field(default_factory=dict)
    received: dict[bytes, None] = field(default_factory=dict)
    last_packet_id: int = 0
    positions: Mapping[tuple[str, int], int] | None = None
    will: Will | None = None
    replays: dict[str, dict[tuple[str, int], int]] = field(default_factory=dict)
    underway: dict[bytes, None] = field(default_factory=dict)
    forgetting: dict[bytes, None] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    @property
    def is_kept(self) -> bool:
        """Whether the state outlives its connection, and so must survive a crash."""
        return self.expiry_ms != 0

    @property
    def unacknowledged(self) -> int:
        """How many sent messages the client has not finished with."""
        return len(self.in_flight) + len(self.releasing)

    @property
    def unaccounted(self) -> int:
        """How many messages the tally can't explain: 0, or somebody has miscounted."""
        tally = self.tally
        return tally.owed - tally.delivered - tally.expired - tally.dropped - self.unacknowledged

    def next_packet_id(self) -> bytes:
        """Take the next packet identifier that is not in use.

        Spec: MQTT5 §2.2.1 [MQTT5-2.2.1-4], §4.3 [MQTT5-4.3.2-1] [MQTT5-4.3.3-1],
        MQTT311 §2.3.1 [MQTT311-2.3.1-4]
        """
        number = self.last_packet_id
        while True:
            number = number % PACKET_ID_MAX + 1
            packet_id = number.to_bytes(2, "big")
            if packet_id not in self.in_flight and packet_id not in self.releasing:
                self.last_packet_id = number
                return packet_id
