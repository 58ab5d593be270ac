"""The fixed header: where a packet ends, whether it may stand there at all, and its first bytes."""

from __future__ import annotations

from typing import NamedTuple

from gateway.errors import MalformedPacket, ProtocolError
from gateway.mqtt.packet_types import V3_1, PacketType, ProtocolVersion, Sender
from gateway.mqtt.primitives import (
    FieldReader,
    check_is_shortest,
    encode_variable_byte_integer,
    read_variable_byte_integer,
)
from gateway.mqtt.reason_codes import ReasonCode

Buffer = bytes | bytearray | memoryview

FLAGS_MASK = 0x0F
TYPE_SHIFT = 4
T = PacketType

# [MQTT5-2.1.3-1] [MQTT311-2.2.2-1]; a PUBLISH uses the four bits, all others want zero.
FLAGS_REQUIRED = {T.PUBREL: 0b0010, T.SUBSCRIBE: 0b0010, T.UNSUBSCRIBE: 0b0010}

_FROM_BOTH = frozenset((T.PUBLISH, T.PUBACK, T.PUBREC, T.PUBREL, T.PUBCOMP))
_FROM_CLIENT = _FROM_BOTH | {T.CONNECT, T.SUBSCRIBE, T.UNSUBSCRIBE, T.PINGREQ, T.DISCONNECT}
_FROM_SERVER = _FROM_BOTH | {T.CONNACK, T.SUBACK, T.UNSUBACK, T.PINGRESP}

# Which packets an end may send (MQTT5 §2.1.2, MQTT311 §2.2.1).
PACKETS_ALLOWED: dict[tuple[int, Sender], frozenset[PacketType]] = {
    (ProtocolVersion.V3_1_1, Sender.CLIENT): _FROM_CLIENT,
    (ProtocolVersion.V3_1_1, Sender.SERVER): _FROM_SERVER,
    (ProtocolVersion.V5, Sender.CLIENT): _FROM_CLIENT | {T.AUTH},
    (ProtocolVersion.V5, Sender.SERVER): _FROM_SERVER | {T.DISCONNECT, T.AUTH},
}


def has_reserved_bits_right(packet_type: PacketType, flags: int) -> bool:
    """Whether the low four bits of the first byte are what they must be; PUBLISH checks its own."""
    # [MQTT5-2.1.3-1] [MQTT311-2.2.2-1] [MQTT311-2.2.2-2], and for single packets
    # [MQTT5-3.6.1-1] [MQTT5-3.8.1-1] [MQTT5-3.10.1-1] [MQTT5-3.14.1-1] [MQTT5-3.15.1-1]
    # [MQTT311-3.6.1-1] [MQTT311-3.8.1-1] [MQTT311-3.10.1-1] [MQTT311-3.14.1-1]
    return packet_type is T.PUBLISH or flags == FLAGS_REQUIRED.get(packet_type, 0)


_TYPES_BY_FIRST_BYTE = {
    end: {
        packet_type << TYPE_SHIFT | flags: packet_type
        for packet_type in allowed
        for flags in range(FLAGS_MASK + 1)
        if has_reserved_bits_right(packet_type, flags)
    }
    for end, allowed in PACKETS_ALLOWED.items()
}
# There, what is sent again has the DUP flag, whatever it is.
_TYPES_BY_FIRST_BYTE[V3_1, Sender.CLIENT] = _TYPES_BY_FIRST_BYTE[
    ProtocolVersion.V3_1_1, Sender.CLIENT
] | {
    packet_type << TYPE_SHIFT | 0b1010: packet_type
    for packet_type in (PacketType.PUBREL, PacketType.SUBSCRIBE, PacketType.UNSUBSCRIBE)
}


class Frame(NamedTuple):
    """One whole packet that has arrived, before its body is read."""

    packet_type: PacketType
    flags: int
    body: bytes
    end: int
    length_bytes: int

    @property
    def name(self) -> str:
        return self.packet_type.name

    def reader(self) -> FieldReader:
        """A reader at the start of the body."""
        return FieldReader(self.body)

    def check_length_is_shortest(self) -> None:
        """Refuse a remaining length that took more bytes than it needs; MQTT 5 only."""
        check_is_shortest(len(self.body), self.length_bytes)


def packet_type_at(buffer: Buffer, start: int, version: int, sender: Sender) -> PacketType:
    """The type of the packet that begins at `buffer[start]`, its first byte being right.

    Raises:
        ProtocolError: `sender` may not send such a packet in that version.
        MalformedPacket: the reserved bits of the fixed header are not what they must be.
    """
    first = buffer[start]
    packet_type = _TYPES_BY_FIRST_BYTE[version, sender].get(first)
    if packet_type is None:
        number = first >> TYPE_SHIFT
        if number not in PACKETS_ALLOWED[max(version, ProtocolVersion.V3_1_1), sender]:
            raise ProtocolError(f"a {sender} must not send packet type {number}")
        raise MalformedPacket(
            f"{PacketType(number).name} has the reserved bits {first & FLAGS_MASK:04b}"
        )
    return packet_type


def read_frame(
    buffer: Buffer, start: int, packet_type: PacketType, maximum_packet_size: int
) -> Frame | None:
    """Cut the packet that begins at `buffer[start]` out; None while it has not arrived whole.

    A packet that is too large is refused as soon as its length has arrived.

    Raises:
        MalformedPacket: its length is longer than four bytes.
        ProtocolError: it is larger than `maximum_packet_size`, fixed header and all (0x95).

    Spec: MQTT5 §2.1, MQTT311 §2.2
    """
    found = read_variable_byte_integer(buffer, start + 1)
    if found is None:
        return None
    length, body_start = found
    end = body_start + length
    if end - start > maximum_packet_size:
        raise ProtocolError(
            f"{packet_type.name} of {end - start} bytes; {maximum_packet_size} are accepted",
            ReasonCode.PACKET_TOO_LARGE,
        )
    if end > len(buffer):
        return None
    flags = buffer[start] & FLAGS_MASK
    body = bytes(buffer[body_start:end])
    return Frame(packet_type, flags, body, end, body_start - start - 1)


def encode_frame(packet_type: PacketType, flags: int, *parts: bytes) -> bytes:
    """Put the fixed header before the parts of a body."""
    body = b"".join(parts)
    first = packet_type << TYPE_SHIFT | flags
    return bytes((first,)) + encode_variable_byte_integer(len(body)) + body


def encode_plain_frame(packet_type: PacketType, *parts: bytes) -> bytes:
    """As `encode_frame`, with the flags that the packet type must have."""
    return encode_frame(packet_type, FLAGS_REQUIRED.get(packet_type, 0), *parts)


def take_packet_id(reader: FieldReader) -> int:
    """Read a packet identifier.

    Raises:
        ProtocolError: it is zero.
    """
    packet_id = reader.two_byte_integer("packet identifier")
    if not packet_id:  # [MQTT5-2.2.1-3] [MQTT5-2.2.1-4] [MQTT311-2.3.1-1]
        raise ProtocolError("the packet identifier is 0")
    return packet_id


def encode_packet_id(packet_id: int) -> bytes:
    """Write a packet identifier; ValueError when it is none."""
    if not 0 < packet_id <= 0xFFFF:  # noqa: PLR2004 - two bytes  [MQTT5-2.2.1-3] [MQTT311-2.3.1-1]
        raise ValueError(f"{packet_id} is no packet identifier; they go from 1 to 65535")
    return packet_id.to_bytes(2, "big")
