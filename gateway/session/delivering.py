"""Sending records to a client: each message is encoded once per version, QoS and retain flag.

`Outgoing` is one message on its way to any number of clients; `Delivery` is one client's side: its
window of unacknowledged packets, and what waits to be written. The caller reads the log and writes
bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from gateway.events import Flag
from gateway.mqtt import (
    NO_PROPERTIES,
    ProtocolVersion,
    Pubrel,
    encode_packet,
    encode_properties,
    publish_parts,
)
from gateway.session.state import Grant, Position, SessionState

SECOND_MS = 1_000
QOS_2 = 2
# What the topics behind the aliases of one client may take; others go out by name.
ALIASED_BYTES_MAX = 64 << 10


class Terms(NamedTuple):
    """How one client gets the messages of one topic: all its matching grants taken together.

    With `no_local`, what the client published itself goes out by `own` instead, or not at all.
    `tells_place` adds to each message, for MQTT 5, where in the log it lies. With
    `takes_references`, a payload that lies in a blob is not sent, but the reference to it.

    Spec: MQTT5 §3.3.4, MQTT311 §3.3.5 [MQTT311-3.3.5-1]
    """

    qos: int
    no_local: bool
    retain_as_published: bool
    subscription_ids: bytes
    tells_place: bool = False
    own: Terms | None = None
    takes_references: bool = False

    @classmethod
    def of(cls, grants: Sequence[Grant]) -> Terms:
        """Merge the grants that match a topic: the highest QoS counts, every identifier is sent.

        Spec: MQTT5 §3.3.4 [MQTT5-3.3.4-2] [MQTT5-3.3.4-3] [MQTT5-3.3.4-4], §3.8.3.1
        """
        # [MQTT5-3.8.3-3]
        other = [grant for grant in grants if not grant.no_local]
        ids = (grant.subscription_id for grant in grants if grant.subscription_id is not None)
        return cls(
            max(grant.qos for grant in grants),
            len(other) < len(grants),
            any(grant.retain_as_published for grant in grants),
            encode_properties(NO_PROPERTIES._replace(subscription_ids=tuple(ids))),
            any(grant.start for grant in grants),
            cls.of(other) if 0 < len(other) < len(grants) else None,
            all(grant.takes_references for grant in grants),
        )

    def for_message_of(self, publisher: str, client_id: str) -> Terms | None:
        """The terms for what `publisher` published; None when `client_id` does not want it."""
        return self.own if self.no_local and publisher == client_id else self


def place_properties(position: Position, arrival_ms: int) -> bytes:
    """Where a message lies in the log, as MQTT 5 user properties."""
    moment = datetime.fromtimestamp(arrival_ms / SECOND_MS, UTC)
    time = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    pairs = (
        ("penstock-stream", position.stream),
        ("penstock-partition", str(position.partition)),
        ("penstock-offset", str(position.offset)),
        ("penstock-time", time),
    )
    return encode_properties(NO_PROPERTIES._replace(user_properties=pairs))


class Outgoing:
    """One message to deliver, encoded at most once for each form in which clients want it.

    What its publisher says of it goes on unaltered and in its order.

    Spec: MQTT5 §3.3.2.3 [MQTT5-3.3.2-4] [MQTT5-3.3.2-15] [MQTT5-3.3.2-16] [MQTT5-3.3.2-17]
    [MQTT5-3.3.2-18] [MQTT5-3.3.2-20]
    """

    __slots__ = (
        "_parts_by_form",
        "arrival_ms",
        "flags",
        "payload",
        "properties",
        "qos",
        "topic",
    )

    streamed_bytes = 0

    def __init__(
        self, topic: bytes, payload: bytes, flags: int, properties: bytes, arrival_ms: int
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.flags = flags
        self.qos = flags >> 1 & 0x03
        self.properties = properties
        self.arrival_ms = arrival_ms
        self._parts_by_form: dict[tuple[int, int, bytes, bool], tuple[bytes, bytes]] = {}

    def parts(
        self, version: int, flags: int, more: bytes, *, is_aliased: bool = False
    ) -> tuple[bytes, bytes]:
        """The bytes before and after the packet identifier; for QoS 0 all of them are before it.

        `more` are the properties of this delivery; when it `is_aliased`, they alone name the topic.
        """
        form = (version, flags, more, is_aliased)
        parts = self._parts_by_form.get(form)
        if parts is None:
            properties = self.properties + more if version >= ProtocolVersion.V5 else None
            topic = b"" if is_aliased else self.topic
            parts = publish_parts(flags, topic, self.payload, properties, self.streamed_bytes)
            self._parts_by_form[form] = parts
        return parts


class Streamed(Outgoing):
    """A message whose payload is read from a blob while it is written; its parts are without it."""

    __slots__ = ("digest", "streamed_bytes")

    def __init__(self, message: Outgoing, digest: str, size_bytes: int) -> None:
        super().__init__(message.topic, b"", message.flags, message.properties, message.arrival_ms)
        self.digest = digest
        self.streamed_bytes = size_bytes


class Delivery:
    """What one connected client is being sent.

    `outbox` holds encoded bytes for the caller to write. `must_save` says that among them is a
    QoS 2 message to a session that lives on, or the release of one: its identifier must be durable
    before the client has it.
    `dropped` counts the messages that this client could not take and will not get.
    `unrepeated` says how many of those in flight are an earlier connection's and not yet sent on
    this one.
    """

    __slots__ = (
        "_aliased_bytes",
        "_aliases_by_topic",
        "_in_flight_max",
        "_packet_bytes_max",
        "_state",
        "_topic_alias_maximum",
        "_version",
        "dropped",
        "must_save",
        "outbox",
        "unrepeated",
    )

    def __init__(
        self,
        state: SessionState,
        version: ProtocolVersion,
        in_flight_max: int,
        packet_bytes_max: int | None,
        topic_alias_maximum: int = 0,
    ) -> None:
        self._state = state
        self._version = version
        self._in_flight_max = in_flight_max
        self._packet_bytes_max = packet_bytes_max
        self._topic_alias_maximum = topic_alias_maximum
        self._aliases_by_topic: dict[bytes, bytes] = {}
        self._aliased_bytes = 0
        self.unrepeated = 0
        self.outbox: list[bytes] = []
        self.must_save = False
        self.dropped = 0

    @property
    def has_room(self) -> bool:
        """Whether another QoS 1 or 2 message may be sent before one is acknowledged.

        Spec: MQTT5 §4.9 [MQTT5-4.9.0-2]
        """
        return self._state.unacknowledged < self._in_flight_max

    @property
    def has_room_to_repeat(self) -> bool:
        """Whether another message may be sent again: the client counts anew on each connection.

        Spec: MQTT5 §4.9 [MQTT5-3.3.4-9] [MQTT5-4.9.0-1]
        """
        return len(self._state.in_flight) - self.unrepeated < self._in_flight_max

    def offer(
        self, message: Outgoing, terms: Terms, position: Position, *, is_retained: bool = False
    ) -> bool:
        """Put a message into the outbox; False when the window is full and nothing was done.

        `position` is where the message lies, with its QoS still to be lowered to the terms'.
        `is_retained` says that a subscription brought it, not its publication.

        Spec: MQTT5 §3.3.1, §4.3 [MQTT5-3.3.1-3] [MQTT5-4.3.1-1] [MQTT5-4.3.2-2] [MQTT5-4.3.2-3]
        [MQTT5-4.3.3-2] [MQTT5-4.3.3-3], MQTT311 §4.3 [MQTT311-3.3.1-3] [MQTT311-4.3.1-1]
        [MQTT311-4.3.2-1]
        """
        # [MQTT5-3.8.4-8] [MQTT311-3.8.4-6]
        qos = min(terms.qos, message.qos)
        # [MQTT5-3.3.1-8] [MQTT5-3.3.1-12] [MQTT5-3.3.1-13] [MQTT311-3.3.1-8] [MQTT311-3.3.1-9]
        retain = message.flags & Flag.RETAIN if terms.retain_as_published or is_retained else 0
        own = terms.subscription_ids
        if terms.tells_place and position.stream:
            own += place_properties(position, message.arrival_ms)
        alias = self._alias_of(message.topic) if self._topic_alias_maximum else b""
        is_aliased = bool(alias) and message.topic in self._aliases_by_topic
        before, after = message.parts(
            self._version, qos << 1 | retain, own + alias, is_aliased=is_aliased
        )
        if self._packet_bytes_max is not None:
            size = len(before) + len(after) + message.streamed_bytes + (2 if qos else 0)
            if size > self._packet_bytes_max:
                # What the client can't take is as good as sent [MQTT5-3.1.2-25].
                self.dropped += 1
                if qos:
                    self._state.tally.owed += 1
                    self._state.tally.dropped += 1
                return True
        state = self._state
        if qos and len(state.in_flight) + len(state.releasing) >= self._in_flight_max:
            return False
        if alias and not is_aliased:
            self._aliases_by_topic[message.topic] = alias
            self._aliased_bytes += len(message.topic)
        if not qos:
            self.outbox.append(before)
            return True
        state.tally.owed += 1
        packet_id = state.next_packet_id()
        state.in_flight[packet_id] = position if position.qos == qos else position._replace(qos=qos)
        self.must_save |= qos == QOS_2 and state.is_kept
        self.outbox += (before, packet_id, after)
        return True

    def packet_to_hold(self, message: Outgoing, terms: Terms, position: Position) -> bytes:
        """Encode a message of QoS 0 that may yet be dropped; nothing if it is too large.

        It makes no topic alias: what is dropped must not be what makes an alias known.
        """
        waiting, self.outbox = self.outbox, []
        topic_alias_maximum, self._topic_alias_maximum = self._topic_alias_maximum, 0
        self.offer(message, terms, position)
        self._topic_alias_maximum = topic_alias_maximum
        packet, self.outbox = b"".join(self.outbox), waiting
        return packet

    def _alias_of(self, topic: bytes) -> bytes:
        """The topic alias property for a topic: the one it has, a new one, or none any more.

        Spec: MQTT5 §3.3.2.3.4 [MQTT5-3.3.2-7] [MQTT5-3.3.2-11]
        """
        alias = self._aliases_by_topic.get(topic)
        if alias is None:
            number = len(self._aliases_by_topic) + 1
            size = self._aliased_bytes + len(topic)
            if number > self._topic_alias_maximum or size > ALIASED_BYTES_MAX:
                return b""
            alias = encode_properties(NO_PROPERTIES._replace(topic_alias=number))
        return alias

    def repeat(self, message: Outgoing, terms: Terms, packet_id: bytes, qos: int) -> None:
        """Send an unacknowledged message again after a reconnect: the same identifier, DUP set.

        Spec: MQTT5 §4.4 [MQTT5-4.4.0-1] [MQTT5-3.3.1-1], MQTT311 §4.4 [MQTT311-4.4.0-1]
        """
        retain = message.flags & Flag.RETAIN if terms.retain_as_published else 0
        flags = qos << 1 | retain | Flag.DUP
        before, after = message.parts(self._version, flags, terms.subscription_ids)
        self.unrepeated -= 1
        size = len(before) + len(packet_id) + len(after) + message.streamed_bytes
        if self._packet_bytes_max is not None and size > self._packet_bytes_max:
            # This connection may take less than the one before [MQTT5-3.1.2-25].
            del self._state.in_flight[packet_id]
            self.dropped += 1
            self._state.tally.dropped += 1
            return
        self.outbox += (before, packet_id, after)

    def repeat_releases(self) -> None:
        """Send the PUBREL of every exchange again that a reconnect interrupted.

        Spec: MQTT5 §4.4 [MQTT5-4.4.0-1], MQTT311 §4.4 [MQTT311-4.4.0-1]
        """
        for packet_id in self._state.releasing:
            pubrel = Pubrel(int.from_bytes(packet_id, "big"))
            self.outbox.append(encode_packet(pubrel, self._version))
        # The PUBREC may have come when the disk refused to save it. A client that was released and
        # then gets the message again, after a crash, takes it for another.
        self.must_save |= bool(self._state.releasing) and self._state.is_kept
