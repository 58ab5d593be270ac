"""Bytes to packets: cuts one packet out of a buffer and hands it to the codec of its family.

`lane` goes first over what a client sends; the rest of it, and all that is wrong in it, comes here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, overload

from gateway.errors import ProtocolError
from gateway.mqtt.closing import (
    decode_auth,
    decode_disconnect,
    decode_pingreq,
    decode_pingresp,
)
from gateway.mqtt.connecting import decode_connack, decode_connect_frame
from gateway.mqtt.framing import Buffer, Frame, packet_type_at, read_frame
from gateway.mqtt.packet_types import PacketType, ProtocolVersion, Sender
from gateway.mqtt.packets import ClientPacket, Connect, Puback, ServerPacket
from gateway.mqtt.publishing import decode_acknowledgement, decode_publish
from gateway.mqtt.subscribing import (
    decode_suback,
    decode_subscribe,
    decode_unsuback,
    decode_unsubscribe,
)

SHORT_PUBACK = b"\x40\x02"
SHORT_PUBACK_BYTES = 4

Decoder = Callable[[Frame, int, Sender], ClientPacket | ServerPacket]
DECODERS: dict[PacketType, Decoder] = {
    PacketType.CONNACK: decode_connack,
    PacketType.PUBLISH: decode_publish,
    PacketType.PUBACK: decode_acknowledgement,
    PacketType.PUBREC: decode_acknowledgement,
    PacketType.PUBREL: decode_acknowledgement,
    PacketType.PUBCOMP: decode_acknowledgement,
    PacketType.SUBSCRIBE: decode_subscribe,
    PacketType.SUBACK: decode_suback,
    PacketType.UNSUBSCRIBE: decode_unsubscribe,
    PacketType.UNSUBACK: decode_unsuback,
    PacketType.PINGREQ: decode_pingreq,
    PacketType.PINGRESP: decode_pingresp,
    PacketType.DISCONNECT: decode_disconnect,
    PacketType.AUTH: decode_auth,
}


def decode_connect(
    buffer: Buffer, start: int, maximum_packet_size: int
) -> tuple[Connect, int] | None:
    """Read the first packet of a connection, which must be a CONNECT; its version is in it.

    Returns the packet and where the next one begins, or None while it has not arrived whole.

    Raises:
        ProtocolError: it is another packet, too large (0x95), of a version that we don't speak
            (0x84), or against the rules; see `announced_version` and `encode_refusal`.
        MalformedPacket: it can't be read.

    Spec: MQTT5 §3.1 [MQTT5-3.1.0-1] [MQTT5-3.1.4-1], MQTT311 §3.1 [MQTT311-3.1.0-1]
    """
    if start >= len(buffer):
        return None
    # What the first byte may be is the same in both versions.
    packet_type = packet_type_at(buffer, start, ProtocolVersion.V3_1_1, Sender.CLIENT)
    if packet_type is not PacketType.CONNECT:  # [MQTT5-3.1.0-1] [MQTT311-3.1.0-1]
        raise ProtocolError(f"the first packet is {packet_type.name}, and must be CONNECT")
    frame = read_frame(buffer, start, packet_type, maximum_packet_size)
    return None if frame is None else (decode_connect_frame(frame), frame.end)


@overload
def decode_packet(
    buffer: Buffer,
    start: int,
    version: int,
    maximum_packet_size: int,
    sender: Literal[Sender.CLIENT] = Sender.CLIENT,
) -> tuple[ClientPacket, int] | None: ...


@overload
def decode_packet(
    buffer: Buffer,
    start: int,
    version: int,
    maximum_packet_size: int,
    sender: Literal[Sender.SERVER],
) -> tuple[ServerPacket, int] | None: ...


def decode_packet(
    buffer: Buffer,
    start: int,
    version: int,
    maximum_packet_size: int,
    sender: Sender = Sender.CLIENT,
) -> tuple[ClientPacket | ServerPacket, int] | None:
    """Read one packet of a connection that has begun, in the version (level) of its CONNECT.

    Returns the packet and where the next one begins, or None while it has not arrived whole. What
    is wrong with the fixed header is said before the body has arrived.

    Raises:
        ProtocolError: `sender` may not send it, it is too large (0x95), or it is against the rules.
        MalformedPacket: it can't be read.

    Spec: MQTT5 §2, §3, §4.13, MQTT311 §2, §3
    """
    # A subscriber sends little else.
    if buffer[start : start + 2] == SHORT_PUBACK and start + SHORT_PUBACK_BYTES <= len(buffer):
        packet_id = buffer[start + 2] << 8 | buffer[start + 3]
        if packet_id:
            return Puback(packet_id), start + SHORT_PUBACK_BYTES
    if start >= len(buffer):
        return None
    packet_type = packet_type_at(buffer, start, version, sender)
    if packet_type is PacketType.CONNECT:  # [MQTT5-3.1.0-2] [MQTT311-3.1.0-2]
        raise ProtocolError("a second CONNECT")
    frame = read_frame(buffer, start, packet_type, maximum_packet_size)
    if frame is None:
        return None
    if version == ProtocolVersion.V5:
        frame.check_length_is_shortest()
    return DECODERS[packet_type](frame, max(version, ProtocolVersion.V3_1_1), sender), frame.end
