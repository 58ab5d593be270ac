"""What a session remembers when its connection ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Position(NamedTuple):
    """Where one delivered record lies in the log, and the QoS it was delivered with."""

    stream: str
    partition: int
    offset: int
    qos: int


class Grant(NamedTuple):
    """What the gateway granted for one topic filter.

    Spec: MQTT5 §3.8.3.1
    """

    topic_filter: str
    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    subscription_id: int | None = None


@dataclass(slots=True)
class SessionState:
    """One client's session as the specification has it, apart from any connection.

    `in_flight` holds what was sent and not acknowledged, by packet identifier (its two bytes),
    oldest first. `positions` says where delivery goes on, by (stream, partition), for a session
    that is not at the tail; None means at the tail. `expiry_ms` is how long the state outlives its
    connection; None keeps it for ever.

    Spec: MQTT5 §4.1, MQTT311 §3.1.2.4
    """

    client_id: str
    expiry_ms: int | None = 0
    grants_by_filter: dict[str, Grant] = field(default_factory=dict)
    in_flight: dict[bytes, Position] = field(default_factory=dict)
    last_packet_id: int = 0
    positions: Mapping[tuple[str, int], int] | None = None

    def next_packet_id(self) -> bytes:
        """Take the next packet identifier that is not in flight.

        Spec: MQTT5 §2.2.1 [MQTT5-2.2.1-3], MQTT311 §2.3.1 [MQTT311-2.3.1-2]
        """
        in_flight = self.in_flight
        number = self.last_packet_id
        while True:
            number = number % 0xFFFF + 1
            packet_id = number.to_bytes(2, "big")
            if packet_id not in in_flight:
                self.last_packet_id = number
                return packet_id
