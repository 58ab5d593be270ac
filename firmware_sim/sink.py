"""A server that takes everything over and forgets nothing, for runs without a gateway; sans-IO.

It acknowledges at once and delivers to every subscriber. It has no sessions, no retained messages
and no limits: it is a measure and a partner for tests, not a broker.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from firmware_sim.wire import PUBACK_START
from gateway.mqtt import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    ProtocolVersion,
    Publish,
    PublishColumns,
    ReasonCode,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    decode_connect,
    decode_packet,
    encode_packet,
    matches,
    split_publishes,
)

PACKET_BYTES_MAX = 1 << 20
PACKET_ID_MAX = 65_535
ROUTES_MAX = 100_000
QOS_BITS = 0x06
DUP_BIT = 0x08
WILDCARDS = frozenset("+#")


class Taken(NamedTuple):
    """One PUBLISH that arrived."""

    client_id: str
    topic: str
    payload: bytes
    qos: int
    packet_id: int
    dup: bool


def accept_everyone(connect: Connect) -> ReasonCode:
    """Answer SUCCESS to every CONNECT."""
    return ReasonCode.SUCCESS


class Sink:
    """What all connections to one sink share."""

    def __init__(self, accept: Callable[[Connect], ReasonCode] = accept_everyone) -> None:
        self.taken: list[Taken] = []
        self.connects: list[Connect] = []
        self.accept = accept
        self.acknowledges = True
        """False lets every PUBLISH go unanswered, though it is taken."""
        self.subscribers: dict[str, dict[SinkConnection, None]] = {}
        """By topic filter, in the order in which they came."""
        self._patterns: set[str] = set()
        """Every filter with a wildcard that was ever subscribed to."""
        self._routes: dict[str, tuple[str, ...]] = {}
        """By topic, the filters that match it."""

    def connect(self, write: Callable[[bytes], None]) -> SinkConnection:
        """Open a connection whose answers go to `write`."""
        return SinkConnection(self, write)

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish as if a client had done it, to everybody who has subscribed to the topic."""
        route = self._routes.get(topic)
        if route is None:
            if len(self._routes) >= ROUTES_MAX:
                self._routes.clear()
            found = (each for each in self._patterns if matches(each, topic))
            route = self._routes[topic] = (topic, *found)
        hearers = {
            subscriber: None
            for topic_filter in route
            for subscriber in self.subscribers.get(topic_filter, ())
        }
        for subscriber in hearers:
            subscriber.deliver(topic, payload)

    def subscribe(self, subscriber: SinkConnection, topic_filter: str) -> None:
        """Deliver to a client what matches a filter, from now on."""
        self.subscribers.setdefault(topic_filter, {})[subscriber] = None
        if not WILDCARDS.isdisjoint(topic_filter) and topic_filter not in self._patterns:
            self._patterns.add(topic_filter)
            self._routes.clear()

    def unsubscribe(self, subscriber: SinkConnection, topic_filter: str) -> None:
        """Deliver to a client no more of what matches a filter."""
        self.subscribers.get(topic_filter, {}).pop(subscriber, None)


class SinkConnection:
    """The server's end of one connection."""

    def __init__(self, sink: Sink, write: Callable[[bytes], None]) -> None:
        self._sink = sink
        self._write = write
        self._rest = b""
        self._connect: Connect | None = None
        self._packet_id = 0
        self._filters: set[str] = set()

    def close(self) -> None:
        """The connection is gone."""
        for topic_filter in self._filters:
            self._sink.unsubscribe(self, topic_filter)
        self._filters.clear()

    def received(self, arrived: bytes) -> None:
        """Take bytes from the client and answer them.

        Raises:
            MqttError: the client broke the protocol.
        """
        buffer = self._rest + arrived
        at = self._take_plain(buffer)
        while True:
            packet, end = self._next_packet(buffer, at)
            if packet is None:
                break
            at = end
            self._answer(packet)
        self._rest = buffer[at:]

    def _take_plain(self, buffer: bytes) -> int:
        """Take the plain PUBLISH packets that `buffer` begins with; returns where they end."""
        if self._connect is None:
            return 0
        columns = PublishColumns()
        at = split_publishes(buffer, 0, columns, is_v5=self._version is ProtocolVersion.V5)
        packet_ids = iter(columns.packet_ids)
        for topic, payload, flags in zip(
            columns.topics, columns.payloads, columns.flags, strict=True
        ):
            qos = (flags & QOS_BITS) >> 1
            packet_id = int.from_bytes(next(packet_ids)) if qos else 0
            dup = bool(flags & DUP_BIT)
            self._take(Publish(topic.decode(), payload, qos, packet_id, dup=dup))
        return at

    def _next_packet(self, buffer: bytes, at: int) -> tuple[Packet | None, int]:
        found: tuple[Packet, int] | None
        if self._connect is None:
            found = decode_connect(buffer, at, PACKET_BYTES_MAX)
        else:
            found = decode_packet(buffer, at, self._version, PACKET_BYTES_MAX)
        return (None, at) if found is None else found

    @property
    def _version(self) -> ProtocolVersion:
        return ProtocolVersion.V3_1_1 if self._connect is None else self._connect.version

    def _say(self, packet: Packet) -> None:
        self._write(encode_packet(packet, self._version))

    def _answer(self, packet: Packet) -> None:
        match packet:
            case Connect():
                self._connect = packet
                self._sink.connects.append(packet)
                self._say(Connack(reason_code=self._sink.accept(packet)))
            case Publish():
                self._take(packet)
            case Subscribe():
                self._subscribe(packet)
            case Unsubscribe():
                self._filters.difference_update(packet.topic_filters)
                for topic_filter in packet.topic_filters:
                    self._sink.unsubscribe(self, topic_filter)
                codes = () if self._version is ProtocolVersion.V3_1_1 else (ReasonCode.SUCCESS,)
                self._say(Unsuback(packet.packet_id, codes * len(packet.topic_filters)))
            case Pingreq():
                self._say(Pingresp())
            case Disconnect():
                self.close()
            case _:
                pass

    def _subscribe(self, packet: Subscribe) -> None:
        for subscription in packet.subscriptions:
            self._filters.add(subscription.topic_filter)
            self._sink.subscribe(self, subscription.topic_filter)
        granted = tuple(ReasonCode.GRANTED_QOS_1 for _ in packet.subscriptions)
        self._say(Suback(packet.packet_id, granted))

    def _take(self, packet: Publish) -> None:
        assert self._connect is not None  # noqa: S101 - nothing is decoded before it
        self._sink.taken.append(
            Taken(
                self._connect.client_id,
                packet.topic,
                packet.payload,
                packet.qos,
                packet.packet_id,
                packet.dup,
            )
        )
        if packet.qos and self._sink.acknowledges:
            self._write(PUBACK_START + packet.packet_id.to_bytes(2, "big"))
        self._sink.publish(packet.topic, packet.payload)

    def deliver(self, topic: str, payload: bytes) -> None:
        """Publish to this client at QoS 1."""
        self._packet_id = self._packet_id % PACKET_ID_MAX + 1
        self._say(Publish(topic, payload, qos=1, packet_id=self._packet_id))
