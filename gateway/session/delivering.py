"""Sending records to a client: each message is encoded once per version, QoS and retain flag.

`Outgoing` is one message on its way to any number of clients; `Delivery` is one client's side: its
window of unacknowledged packets, and what waits to be written. The caller reads the log and writes
bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gateway.events import Flag
from gateway.mqtt import NO_PROPERTIES, ProtocolVersion, encode_properties, publish_parts
from gateway.session.state import Grant, Position, SessionState


class Terms(NamedTuple):
    """How one client gets the messages of one topic: all its matching grants taken together.

    Spec: MQTT5 §3.3.4, MQTT311 §3.3.5 [MQTT311-3.3.5-1]
    """

    qos: int
    no_local: bool
    retain_as_published: bool
    subscription_ids: bytes

    @classmethod
    def of(cls, grants: Sequence[Grant]) -> Terms:
        """Merge the grants that match a topic: the highest QoS counts, every identifier is sent."""
        ids = (grant.subscription_id for grant in grants if grant.subscription_id is not None)
        return cls(
            max(grant.qos for grant in grants),
            all(grant.no_local for grant in grants),
            any(grant.retain_as_published for grant in grants),
            encode_properties(NO_PROPERTIES._replace(subscription_ids=tuple(ids))),
        )


class Outgoing:
    """One message to deliver, encoded at most once for each form in which clients want it."""

    __slots__ = ("_parts_by_form", "flags", "payload", "properties", "qos", "topic")

    def __init__(self, topic: bytes, payload: bytes, flags: int, properties: bytes) -> None:
        self.topic = topic
        self.payload = payload
        self.flags = flags
        self.qos = flags >> 1 & 0x03
        self.properties = properties
        self._parts_by_form: dict[tuple[int, int, bytes], tuple[bytes, bytes]] = {}

    def parts(self, version: int, flags: int, ids: bytes) -> tuple[bytes, bytes]:
        """The bytes before and after the packet identifier; for QoS 0 all of them are before it."""
        form = (version, flags, ids)
        parts = self._parts_by_form.get(form)
        if parts is None:
            properties = self.properties + ids if version >= ProtocolVersion.V5 else None
            parts = publish_parts(flags, self.topic, self.payload, properties)
            self._parts_by_form[form] = parts
        return parts


class Delivery:
    """What one connected client is being sent.

    `outbox` holds encoded bytes for the caller to write; `dropped` counts QoS 0 messages that a
    client which does not read in time never gets.
    """

    __slots__ = ("_in_flight_max", "_packet_bytes_max", "_state", "_version", "dropped", "outbox")

    def __init__(
        self,
        state: SessionState,
        version: ProtocolVersion,
        in_flight_max: int,
        packet_bytes_max: int | None,
    ) -> None:
        self._state = state
        self._version = version
        self._in_flight_max = in_flight_max
        self._packet_bytes_max = packet_bytes_max
        self.outbox: list[bytes] = []
        self.dropped = 0

    @property
    def has_room(self) -> bool:
        """Whether another QoS 1 message may be sent before one is acknowledged.

        Spec: MQTT5 §4.9 [MQTT5-4.9.0-2]
        """
        return len(self._state.in_flight) < self._in_flight_max

    def offer(self, message: Outgoing, terms: Terms, place: tuple[str, int, int]) -> bool:
        """Put a message into the outbox; False when the window is full and nothing was done.

        `place` is the stream, partition and offset of the message in the log.
        """
        qos = min(terms.qos, message.qos)
        retain = message.flags & Flag.RETAIN if terms.retain_as_published else 0
        before, after = message.parts(self._version, qos << 1 | retain, terms.subscription_ids)
        if self._packet_bytes_max is not None:
            size = len(before) + len(after) + (2 if qos else 0)
            if size > self._packet_bytes_max:
                # What the client can't take is as good as sent [MQTT5-3.1.2-25].
                self.dropped += 1
                return True
        if not qos:
            self.outbox.append(before)
            return True
        state = self._state
        if len(state.in_flight) >= self._in_flight_max:
            return False
        packet_id = state.next_packet_id()
        state.in_flight[packet_id] = Position(*place, qos)
        self.outbox += (before, packet_id, after)
        return True

    def repeat(self, message: Outgoing, terms: Terms, packet_id: bytes, qos: int) -> None:
        """Send an unacknowledged message again after a reconnect: the same identifier, DUP set.

        Spec: MQTT5 §4.4 [MQTT5-4.4.0-1] [MQTT5-3.3.1-1], MQTT311 §4.4 [MQTT311-4.4.0-1]
        """
        retain = message.flags & Flag.RETAIN if terms.retain_as_published else 0
        flags = qos << 1 | retain | Flag.DUP
        self.outbox += _around(
            packet_id, message.parts(self._version, flags, terms.subscription_ids)
        )


def _around(packet_id: bytes, parts: tuple[bytes, bytes]) -> tuple[bytes, bytes, bytes]:
    before, after = parts
    return before, packet_id, after
