"""PINGREQ, PINGRESP, DISCONNECT and AUTH: the small packets, there and back in both versions."""

from __future__ import annotations

from gateway.errors import ProtocolError
from gateway.mqtt.framing import Frame, encode_plain_frame
from gateway.mqtt.packet_types import PacketType, ProtocolVersion, Sender
from gateway.mqtt.packets import Auth, Disconnect, Pingreq, Pingresp
from gateway.mqtt.primitives import encode_byte
from gateway.mqtt.properties import (
    NO_PROPERTIES,
    Carrier,
    encode_property_section,
    take_properties,
)
from gateway.mqtt.reason_codes import ReasonCode, check_own_reason_code, check_reason_code


def decode_pingreq(frame: Frame, version: int, sender: Sender) -> Pingreq:
    """Read a PINGREQ, which is empty in both versions."""
    del version, sender
    frame.reader().finish(frame.name)
    return Pingreq()


def encode_pingreq(packet: Pingreq, version: int) -> bytes:
    """Write a PINGREQ."""
    del packet, version
    return encode_plain_frame(PacketType.PINGREQ)


def decode_pingresp(frame: Frame, version: int, sender: Sender) -> Pingresp:
    """Read a PINGRESP, which is empty in both versions."""
    del version, sender
    frame.reader().finish(frame.name)
    return Pingresp()


def encode_pingresp(packet: Pingresp, version: int) -> bytes:
    """Write a PINGRESP."""
    del packet, version
    return encode_plain_frame(PacketType.PINGRESP)


def decode_disconnect(frame: Frame, version: int, sender: Sender) -> Disconnect:
    """Read a DISCONNECT, empty in 3.1.1; reason code and properties may be missing from its end.

    Raises:
        ProtocolError: the reason code is none of `sender`'s, or a server sends a session expiry.

    Spec: MQTT5 §3.14, MQTT311 §3.14
    """
    reader = frame.reader()
    reason_code = ReasonCode.NORMAL_DISCONNECTION
    properties = NO_PROPERTIES
    if version == ProtocolVersion.V5:
        if reader.remaining:
            number = reader.byte("reason code")
            reason_code = check_reason_code(number, PacketType.DISCONNECT, sender)
        if reader.remaining:
            properties = take_properties(reader, Carrier.DISCONNECT)
    reader.finish(frame.name)
    if properties.session_expiry_interval_s is not None and sender is Sender.SERVER:
        raise ProtocolError("a server's DISCONNECT has a session expiry")  # [MQTT5-3.14.2-2]
    return Disconnect(reason_code, properties)


def encode_disconnect(packet: Disconnect, version: int) -> bytes:
    """Write a DISCONNECT, as short as it can be.

    Raises:
        ValueError: it gives a reason, and 3.1.1 has no place for one.
    """
    if version != ProtocolVersion.V5:
        if packet.reason_code is not ReasonCode.NORMAL_DISCONNECTION:
            raise ValueError(
                f"3.1.1 can't say {packet.reason_code!r} in a DISCONNECT; close instead"
            )
        return encode_plain_frame(PacketType.DISCONNECT)
    check_own_reason_code(packet.reason_code, PacketType.DISCONNECT)
    if packet.properties != NO_PROPERTIES:
        section = encode_property_section(packet.properties, Carrier.DISCONNECT)
        return encode_plain_frame(PacketType.DISCONNECT, encode_byte(packet.reason_code), section)
    if packet.reason_code is not ReasonCode.NORMAL_DISCONNECTION:
        return encode_plain_frame(PacketType.DISCONNECT, encode_byte(packet.reason_code))
    return encode_plain_frame(PacketType.DISCONNECT)


def decode_auth(frame: Frame, version: int, sender: Sender) -> Auth:
    """Read an AUTH; an empty one is a success without properties.

    Raises:
        ProtocolError: the reason code is none of `sender`'s, or no method is named.

    Spec: MQTT5 §3.15
    """
    del version  # 3.1.1 has no AUTH, and does not get here.
    reader = frame.reader()
    if not reader.remaining:
        return Auth(check_reason_code(ReasonCode.SUCCESS, PacketType.AUTH, sender))
    reason_code = check_reason_code(reader.byte("reason code"), PacketType.AUTH, sender)
    properties = take_properties(reader, Carrier.AUTH)
    reader.finish(frame.name)
    packet = Auth(reason_code, properties)
    _check_method(packet)
    return packet


def encode_auth(packet: Auth, version: int) -> bytes:
    """Write an AUTH, as short as it can be; ValueError in 3.1.1, which has none."""
    if version != ProtocolVersion.V5:
        raise ValueError("3.1.1 has no AUTH")
    if packet == Auth():
        return encode_plain_frame(PacketType.AUTH)
    check_own_reason_code(packet.reason_code, PacketType.AUTH)
    _check_method(packet)
    section = encode_property_section(packet.properties, Carrier.AUTH)
    return encode_plain_frame(PacketType.AUTH, encode_byte(packet.reason_code), section)


def _check_method(packet: Auth) -> None:
    if packet.properties.authentication_method is None:
        # MQTT5 §3.15.2.2.2: a Protocol Error.
        raise ProtocolError("AUTH names no authentication method")
