"""CONNECT and CONNACK: the packets that open a connection, there and back in both versions."""

from __future__ import annotations

from typing import NamedTuple

from gateway.errors import MalformedPacket, ProtocolError
from gateway.mqtt.framing import Buffer, Frame, encode_plain_frame
from gateway.mqtt.packet_types import V3_1, PacketType, ProtocolVersion, Sender
from gateway.mqtt.packets import Connack, Connect, Will
from gateway.mqtt.primitives import (
    FieldReader,
    encode_binary,
    encode_byte,
    encode_name,
    encode_string,
    encode_two_byte_integer,
    read_variable_byte_integer,
    shown,
)
from gateway.mqtt.properties import (
    NO_PROPERTIES,
    Carrier,
    Properties,
    encode_property_section,
    take_properties,
)
from gateway.mqtt.qos import check_qos
from gateway.mqtt.reason_codes import (
    REASON_CODES_ALLOWED,
    ReasonCode,
    check_own_reason_code,
    check_reason_code,
    connack_reason_code,
    connack_return_code,
)
from gateway.mqtt.topics import check_topic_name

PROTOCOL_NAME = "MQTT"
PROTOCOL_NAME_V3_1 = "MQIsdp"

RESERVED_FLAG = 0x01
CLEAN_START_FLAG = 0x02
WILL_FLAG = 0x04
WILL_QOS_SHIFT = 3
WILL_QOS_FLAGS = 0x18
WILL_RETAIN_FLAG = 0x20
PASSWORD_FLAG = 0x40
USERNAME_FLAG = 0x80
SESSION_PRESENT_FLAG = 0x01


class ConnectHeader(NamedTuple):
    """The variable header of a CONNECT."""

    version: ProtocolVersion
    flags: int
    keep_alive_s: int
    properties: Properties
    is_v3_1: bool


def announced_version(buffer: Buffer, start: int) -> int:
    """The protocol version that the CONNECT at `buffer[start]` asks for, whatever is wrong with it.

    0 when what arrived is no CONNECT of any MQTT; 1 for a level 0, which nobody ever had. Its use
    is to choose the form of a refusal.
    """
    try:
        found = read_variable_byte_integer(buffer, start + 1)
        if found is None or buffer[start] >> 4 != PacketType.CONNECT:
            return 0
        reader = FieldReader(bytes(buffer[found[1] : found[1] + 16]))
        name = reader.string("protocol name")
        if name not in (PROTOCOL_NAME, PROTOCOL_NAME_V3_1):
            return 0
        return max(1, reader.byte("protocol version"))
    except MalformedPacket:
        return 0


def decode_connect_frame(frame: Frame) -> Connect:
    """Read a CONNECT; the version is in it.

    Raises:
        ProtocolError: with 0x84 for a protocol or version that we don't speak, with 0x85 for a
            client identifier that is empty where 3.1.1 does not allow it.
        MalformedPacket: the flags contradict each other or the payload.

    Spec: MQTT5 §3.1, MQTT311 §3.1
    """
    reader = frame.reader()
    header = _take_header(reader)
    if header.version is ProtocolVersion.V5:
        frame.check_length_is_shortest()
    # [MQTT5-3.1.3-1] [MQTT5-3.1.3-3] [MQTT5-3.1.3-4] [MQTT311-3.1.3-1] [MQTT311-3.1.3-3]
    client_id = reader.name("client identifier")  # [MQTT311-3.1.3-4]
    clean_start = bool(header.flags & CLEAN_START_FLAG)
    if not client_id and header.version is ProtocolVersion.V3_1_1:
        _check_unnamed(header, clean_start=clean_start)
    will = _take_will(reader, header) if header.flags & WILL_FLAG else None
    # [MQTT5-3.1.2-16] [MQTT5-3.1.2-17] [MQTT5-3.1.3-12]
    # [MQTT311-3.1.2-18] [MQTT311-3.1.2-19] [MQTT311-3.1.3-11]
    username = reader.name("user name") if header.flags & USERNAME_FLAG else None
    # [MQTT5-3.1.2-18] [MQTT5-3.1.2-19] [MQTT311-3.1.2-20] [MQTT311-3.1.2-21]
    password = reader.binary("password") if header.flags & PASSWORD_FLAG else None
    reader.finish(frame.name)
    return Connect(
        client_id=client_id,
        version=header.version,
        clean_start=clean_start,
        keep_alive_s=header.keep_alive_s,
        username=username,
        password=password,
        will=will,
        properties=header.properties,
        is_v3_1=header.is_v3_1,
    )


def _check_unnamed(header: ConnectHeader, *, clean_start: bool) -> None:
    if header.is_v3_1:
        raise ProtocolError(
            "MQTT 3.1 wants a client identifier", ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
        )
    if not clean_start:
        # [MQTT311-3.1.3-7] [MQTT311-3.1.3-8]
        raise ProtocolError(
            "an empty client identifier needs Clean Session",
            ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
        )


def _take_header(reader: FieldReader) -> ConnectHeader:
    name = reader.string("protocol name")
    number = reader.byte("protocol version")
    is_v3_1 = (name, number) == (PROTOCOL_NAME_V3_1, V3_1)
    is_ours = name == PROTOCOL_NAME and number in (ProtocolVersion.V3_1_1, ProtocolVersion.V5)
    if not is_v3_1 and not is_ours:
        # [MQTT5-3.1.2-1] [MQTT5-3.1.2-2] [MQTT311-3.1.2-1] [MQTT311-3.1.2-2]
        raise ProtocolError(
            f"protocol {shown(name)} version {number}; MQTT 3.1, 3.1.1 (4) and 5 are spoken here",
            ReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
        )
    version = ProtocolVersion.V3_1_1 if is_v3_1 else ProtocolVersion(number)
    flags = reader.byte("connect flags")
    _check_flags(flags, version)
    keep_alive_s = reader.two_byte_integer("keep alive")
    if version is ProtocolVersion.V3_1_1:
        return ConnectHeader(version, flags, keep_alive_s, NO_PROPERTIES, is_v3_1)
    properties = take_properties(reader, Carrier.CONNECT)
    _check_authentication(properties)
    return ConnectHeader(version, flags, keep_alive_s, properties, is_v3_1=False)


def _check_flags(flags: int, version: ProtocolVersion) -> None:
    if flags & RESERVED_FLAG:  # [MQTT5-3.1.2-3] [MQTT311-3.1.2-3]
        raise MalformedPacket("the reserved flag of CONNECT is set")
    if not flags & WILL_FLAG and flags & (WILL_QOS_FLAGS | WILL_RETAIN_FLAG):
        # [MQTT5-3.1.2-11] [MQTT5-3.1.2-13]
        # [MQTT311-3.1.2-11] [MQTT311-3.1.2-13] [MQTT311-3.1.2-15]
        raise MalformedPacket("CONNECT gives a will QoS or will retain and no will")
    # [MQTT5-3.1.2-12] [MQTT311-3.1.2-14]
    check_qos((flags & WILL_QOS_FLAGS) >> WILL_QOS_SHIFT, "the will")
    if (
        version is ProtocolVersion.V3_1_1
        and flags & PASSWORD_FLAG
        and not flags & USERNAME_FLAG  # [MQTT311-3.1.2-22]
    ):
        raise MalformedPacket("CONNECT has a password and no user name, which 3.1.1 forbids")


def _check_authentication(properties: Properties) -> None:
    if properties.authentication_data is not None and properties.authentication_method is None:
        # MQTT5 §3.1.2.11.10: a Protocol Error.
        raise ProtocolError("there is authentication data and no authentication method")


def _take_will(reader: FieldReader, header: ConnectHeader) -> Will:
    """Read the will's fields, which must all be there [MQTT5-3.1.2-9] [MQTT311-3.1.2-9]."""
    properties = NO_PROPERTIES
    if header.version is ProtocolVersion.V5:
        properties = take_properties(reader, Carrier.WILL)
    topic = reader.string("will topic")  # [MQTT5-3.1.3-11] [MQTT311-3.1.3-10]
    check_topic_name(topic)
    return Will(
        topic=topic,
        payload=reader.binary("will payload"),
        qos=(header.flags & WILL_QOS_FLAGS) >> WILL_QOS_SHIFT,
        retain=bool(header.flags & WILL_RETAIN_FLAG),
        properties=properties,
    )


def encode_connect(packet: Connect, version: int) -> bytes:
    """Write a CONNECT; ValueError when it asks for another version than `version`."""
    if packet.version != version:
        raise ValueError(f"a CONNECT for version {packet.version} can't be written as {version}")
    flags = _flags_of(packet)
    _check_flags(flags, packet.version)
    _check_authentication(packet.properties)
    is_v5 = packet.version is ProtocolVersion.V5
    parts = [
        encode_string(PROTOCOL_NAME_V3_1 if packet.is_v3_1 else PROTOCOL_NAME),
        encode_byte(packet.level),
        encode_byte(flags),
        encode_two_byte_integer(packet.keep_alive_s),
        encode_property_section(packet.properties, Carrier.CONNECT) if is_v5 else b"",
        encode_name(packet.client_id, "client identifier"),
    ]
    if packet.will is not None:
        check_topic_name(packet.will.topic)
        if is_v5:
            parts.append(encode_property_section(packet.will.properties, Carrier.WILL))
        parts += [encode_string(packet.will.topic), encode_binary(packet.will.payload)]
    if packet.username is not None:
        parts.append(encode_name(packet.username, "user name"))
    if packet.password is not None:
        parts.append(encode_binary(packet.password))
    return encode_plain_frame(PacketType.CONNECT, *parts)


def _flags_of(packet: Connect) -> int:
    flags = CLEAN_START_FLAG if packet.clean_start else 0
    if packet.will is not None:
        flags |= WILL_FLAG | packet.will.qos << WILL_QOS_SHIFT
        flags |= WILL_RETAIN_FLAG if packet.will.retain else 0
    flags |= USERNAME_FLAG if packet.username is not None else 0
    flags |= PASSWORD_FLAG if packet.password is not None else 0
    return flags


def decode_connack(frame: Frame, version: int, sender: Sender) -> Connack:
    """Read a CONNACK.

    Raises:
        ProtocolError: a session is present after a refusal, or the code is none of a CONNACK.
        MalformedPacket: reserved flags are set.

    Spec: MQTT5 §3.2, MQTT311 §3.2
    """
    reader = frame.reader()
    flags = reader.byte("connect acknowledge flags")
    if flags & ~SESSION_PRESENT_FLAG:  # [MQTT5-3.2.2-1]
        raise MalformedPacket(f"CONNACK has the reserved flags {flags:08b}")
    number = reader.byte("reason code")
    properties = NO_PROPERTIES
    if version == ProtocolVersion.V5:
        reason_code = check_reason_code(number, PacketType.CONNACK, sender)
        properties = take_properties(reader, Carrier.CONNACK)
    else:
        reason_code = connack_reason_code(number)
    reader.finish(frame.name)
    packet = Connack(bool(flags), reason_code, properties)
    _check_connack(packet)
    return packet


def encode_connack(packet: Connack, version: int) -> bytes:
    """Write a CONNACK; in 3.1.1 with the return code that stands for its reason code.

    Raises:
        ValueError: 3.1.1 has no return code for it, so the connection must just be closed.
    """
    _check_connack(packet)
    flags = encode_byte(packet.session_present)
    if version == ProtocolVersion.V5:
        check_own_reason_code(packet.reason_code, PacketType.CONNACK)
        section = encode_property_section(packet.properties, Carrier.CONNACK)
        return encode_plain_frame(
            PacketType.CONNACK, flags, encode_byte(packet.reason_code), section
        )
    return_code = connack_return_code(packet.reason_code)
    if return_code is None:  # [MQTT311-3.2.2-6]
        raise ValueError(f"3.1.1 has no return code for {packet.reason_code!r}; close instead")
    return encode_plain_frame(PacketType.CONNACK, flags, encode_byte(return_code))


def encode_refusal(reason_code: int, version: int, properties: Properties = NO_PROPERTIES) -> bytes:
    """The CONNACK that refuses a CONNECT, in the form that a client of that version can read.

    `version` is what `announced_version` found, also one that we don't speak; `properties` are for
    MQTT 5, and left out below it. Empty when nothing
    should be sent: it was 0, or 3.1.1 has no return code for the reason. What a CONNACK of MQTT 5
    has no reason code for is an unspecified error.
    """
    if not version:
        return b""
    if version >= ProtocolVersion.V5:
        known = reason_code in REASON_CODES_ALLOWED[PacketType.CONNACK, Sender.SERVER]
        said = ReasonCode(reason_code) if known else ReasonCode.UNSPECIFIED_ERROR
        return encode_connack(Connack(reason_code=said, properties=properties), ProtocolVersion.V5)
    if connack_return_code(reason_code) is None:  # [MQTT311-3.2.2-6] [MQTT311-3.1.4-1]
        return b""
    # [MQTT311-3.1.2-2] [MQTT311-3.1.3-9]
    return encode_connack(Connack(reason_code=ReasonCode(reason_code)), ProtocolVersion.V3_1_1)


def _check_connack(packet: Connack) -> None:
    if packet.session_present and packet.reason_code is not ReasonCode.SUCCESS:
        # [MQTT5-3.2.2-6] [MQTT311-3.2.2-4]
        raise ProtocolError("a CONNACK that refuses says that a session is present")
