"""The bytes that a device sends and hears most: encoded ahead, and split without a detour.

Everything else goes through `gateway.mqtt`, which is also the twin that the tests compare with.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from gateway.mqtt import (
    Properties,
    ProtocolVersion,
    Puback,
    Publish,
    Sender,
    ServerPacket,
    decode_packet,
    encode_packet,
    encode_properties,
)

PUBLISH = 0x30
QOS_1 = 0x02
DUP = 0x08
PUBACK_START = b"\x40\x02"
PUBACK_BYTES = 4
SEVEN_BITS = 0x7F
CONTINUATION_BIT = 0x80
NO_PROPERTIES = b"\x00"
FAILURE = 0x80
SEQUENCE = "penstock-seq"
PACKET_BYTES_MAX = 1 << 20


@lru_cache(maxsize=4_096)
def encode_remaining_length(length: int) -> bytes:
    """Write a remaining length as a variable byte integer.

    Spec: MQTT5 §2.1.4, MQTT311 §2.2.3
    """
    encoded = bytearray()
    while length > SEVEN_BITS:
        encoded.append(length & SEVEN_BITS | CONTINUATION_BIT)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)


class Frame(Protocol):
    """What the PUBLISH packets of one topic have in common."""

    @property
    def qos(self) -> int: ...
    @property
    def topic(self) -> str: ...
    def encode(self, packet_id: int, payload: bytes) -> bytes: ...


class PublishFrame:
    """The PUBLISH packets of one topic, with all that never changes encoded once."""

    __slots__ = ("_after_id", "_first", "_start", "_version", "qos", "topic")

    def __init__(
        self,
        topic: str,
        qos: int,
        version: ProtocolVersion,
        properties: bytes = NO_PROPERTIES,
    ) -> None:
        encoded = topic.encode()
        self.qos = qos
        self._version = version
        self.topic = topic
        self._first = bytes([PUBLISH | qos << 1])
        self._start = len(encoded).to_bytes(2, "big") + encoded
        self._after_id = properties if version is ProtocolVersion.V5 else b""

    def numbered(self, number: str) -> PublishFrame:
        """The frame of one message that carries `penstock-seq`; MQTT 5 only."""
        properties = encode_properties(Properties(user_properties=((SEQUENCE, number),)))
        section = encode_remaining_length(len(properties)) + properties
        return PublishFrame(self.topic, self.qos, self._version, section)

    def encode(self, packet_id: int, payload: bytes) -> bytes:
        """Write one packet; `packet_id` counts only for QoS 1."""
        identifier = packet_id.to_bytes(2, "big") if self.qos else b""
        body = b"".join((self._start, identifier, self._after_id, payload))
        return b"".join((self._first, encode_remaining_length(len(body)), body))


class MessageFrame:
    """The PUBLISH packet of one message at QoS 1, with the properties that it alone has."""

    __slots__ = ("_properties", "_version", "qos", "topic")

    def __init__(self, topic: str, version: ProtocolVersion, properties: Properties) -> None:
        self.qos = 1
        self.topic = topic
        self._version = version
        self._properties = properties if version is ProtocolVersion.V5 else Properties()

    def encode(self, packet_id: int, payload: bytes) -> bytes:
        """Write the packet."""
        packet = Publish(self.topic, payload, self.qos, packet_id, properties=self._properties)
        return encode_packet(packet, self._version)


def mark_repeated(packet: bytes) -> bytes:
    """Set DUP on an encoded PUBLISH."""
    # [MQTT5-3.3.1-1] [MQTT311-3.3.1-1]
    return bytes([packet[0] | DUP]) + packet[1:]


@dataclass(slots=True)
class Arrivals:
    """What one read brought, in order within each list."""

    acknowledged: list[int] = field(default_factory=list)
    """Packet identifiers of accepted publishes."""
    refused: list[int] = field(default_factory=list)
    """Packet identifiers of publishes that the server answered with a failure."""
    packets: list[ServerPacket] = field(default_factory=list)
    """Every other packet."""


class Inbox:
    """Cuts the bytes that arrive into packets, and keeps what is still incomplete."""

    def __init__(self, version: ProtocolVersion) -> None:
        self._version = version
        self._rest = b""

    def clear(self) -> None:
        """Forget what was incomplete: the connection is gone."""
        self._rest = b""

    def feed(self, arrived: bytes) -> Arrivals:
        """Take bytes as they come and return the packets that are whole by now.

        Raises:
            MqttError: these bytes can't come from an MQTT server.
        """
        arrivals = Arrivals()
        buffer = self._rest + arrived if self._rest else arrived
        at, end = 0, len(buffer)
        while at < end:
            if buffer.startswith(PUBACK_START, at) and at + PUBACK_BYTES <= end:
                arrivals.acknowledged.append(buffer[at + 2] << 8 | buffer[at + 3])
                at += PUBACK_BYTES
                continue
            found = decode_packet(buffer, at, self._version, PACKET_BYTES_MAX, Sender.SERVER)
            if found is None:
                break
            packet, at = found
            self._sort(packet, arrivals)
        self._rest = buffer[at:]
        return arrivals

    def _sort(self, packet: ServerPacket, arrivals: Arrivals) -> None:
        if not isinstance(packet, Puback):
            arrivals.packets.append(packet)
        elif packet.reason_code < FAILURE:
            arrivals.acknowledged.append(packet.packet_id)
        else:
            arrivals.refused.append(packet.packet_id)
