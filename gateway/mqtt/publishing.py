"""PUBLISH and its four acknowledgements, there and back in both versions.

Deliveries to many subscribers are encoded in `delivery`; `lane` splits what most PUBLISHes are.
"""

from __future__ import annotations

from gateway.errors import MalformedPacket, ProtocolError
from gateway.mqtt.framing import (
    Frame,
    encode_frame,
    encode_packet_id,
    encode_plain_frame,
    take_packet_id,
)
from gateway.mqtt.packet_types import PacketType, ProtocolVersion, Sender
from gateway.mqtt.packets import Puback, Pubcomp, Publish, Pubrec, Pubrel
from gateway.mqtt.primitives import encode_byte, encode_string
from gateway.mqtt.properties import (
    NO_PROPERTIES,
    Carrier,
    Properties,
    encode_property_section,
    take_properties,
)
from gateway.mqtt.qos import check_qos
from gateway.mqtt.reason_codes import ReasonCode, check_own_reason_code, check_reason_code
from gateway.mqtt.topics import check_topic_name

RETAIN_FLAG = 0x01
QOS_SHIFT = 1
QOS_FLAGS = 0x06
DUP_FLAG = 0x08

Acknowledgement = Puback | Pubrec | Pubrel | Pubcomp

ACKNOWLEDGEMENTS: dict[PacketType, type[Acknowledgement]] = {
    PacketType.PUBACK: Puback,
    PacketType.PUBREC: Pubrec,
    PacketType.PUBREL: Pubrel,
    PacketType.PUBCOMP: Pubcomp,
}
_TYPES = {kind: packet_type for packet_type, kind in ACKNOWLEDGEMENTS.items()}
_CARRIERS = {packet_type: Carrier(packet_type.name) for packet_type in ACKNOWLEDGEMENTS}


def decode_publish(frame: Frame, version: int, sender: Sender) -> Publish:
    """Read a PUBLISH.

    Raises:
        MalformedPacket: QoS 3, DUP with QoS 0, or a topic name that is none.
        ProtocolError: no packet identifier, neither topic name nor alias, or a subscription
            identifier from a client.

    Spec: MQTT5 §3.3, MQTT311 §3.3
    """
    qos = (frame.flags & QOS_FLAGS) >> QOS_SHIFT
    dup = bool(frame.flags & DUP_FLAG)
    _check_flags(qos, dup=dup)
    reader = frame.reader()
    topic = reader.string("topic name")  # [MQTT5-3.3.2-1] [MQTT311-3.3.2-1]
    # [MQTT5-2.2.1-2] [MQTT311-2.3.1-5]
    packet_id = take_packet_id(reader) if qos else 0
    properties = NO_PROPERTIES
    if version == ProtocolVersion.V5:
        properties = take_properties(reader, Carrier.PUBLISH)
    _check_topic(topic, properties, version)
    if properties.subscription_ids and sender is Sender.CLIENT:  # [MQTT5-3.3.4-6]
        raise ProtocolError("a client's PUBLISH has a subscription identifier")
    retain = bool(frame.flags & RETAIN_FLAG)
    return Publish(topic, reader.rest(), qos, packet_id, retain, dup, properties)


def encode_publish(packet: Publish, version: int) -> bytes:
    """Write a PUBLISH.

    Raises:
        ValueError: a QoS without a packet identifier or the other way round.
    """
    _check_flags(packet.qos, dup=packet.dup)
    _check_topic(packet.topic, packet.properties, version)
    if bool(packet.packet_id) != bool(packet.qos):  # [MQTT5-2.2.1-2] [MQTT311-2.3.1-5]
        raise ValueError(f"packet identifier {packet.packet_id} with QoS {packet.qos}")
    flags = packet.qos << QOS_SHIFT
    flags |= DUP_FLAG if packet.dup else 0
    flags |= RETAIN_FLAG if packet.retain else 0
    is_v5 = version == ProtocolVersion.V5
    return encode_frame(
        PacketType.PUBLISH,
        flags,
        encode_string(packet.topic),
        encode_packet_id(packet.packet_id) if packet.qos else b"",
        encode_property_section(packet.properties, Carrier.PUBLISH) if is_v5 else b"",
        packet.payload,
    )


def _check_flags(qos: int, *, dup: bool) -> None:
    check_qos(qos, "PUBLISH")  # [MQTT5-3.3.1-4] [MQTT311-3.3.1-4]
    if dup and not qos:  # [MQTT5-3.3.1-2] [MQTT311-3.3.1-2]
        raise MalformedPacket("DUP is set in a PUBLISH of QoS 0")


def _check_topic(topic: str, properties: Properties, version: int) -> None:
    if topic:
        check_topic_name(topic)
    elif version != ProtocolVersion.V5:  # [MQTT311-4.7.3-1]
        raise MalformedPacket("the topic name is empty")
    elif properties.topic_alias is None:
        # MQTT5 §3.3.2.1: a Protocol Error.
        raise ProtocolError("the topic name is empty, and there is no topic alias")


def decode_acknowledgement(frame: Frame, version: int, sender: Sender) -> Acknowledgement:
    """Read a PUBACK, PUBREC, PUBREL or PUBCOMP.

    Reason code and properties may be missing from the end; then all is well.

    Raises:
        ProtocolError: the packet identifier is 0, or the reason code is none of this packet.

    Spec: MQTT5 §3.4 to §3.7, MQTT311 §3.4 to §3.7
    """
    reader = frame.reader()
    packet_id = take_packet_id(reader)
    reason_code = ReasonCode.SUCCESS
    properties = NO_PROPERTIES
    if version == ProtocolVersion.V5:
        if reader.remaining:
            number = reader.byte("reason code")
            reason_code = check_reason_code(number, frame.packet_type, sender)
        if reader.remaining:
            properties = take_properties(reader, _CARRIERS[frame.packet_type])
    reader.finish(frame.name)
    return ACKNOWLEDGEMENTS[frame.packet_type](packet_id, reason_code, properties)


def encode_acknowledgement(packet: Acknowledgement, version: int) -> bytes:
    """Write a PUBACK, PUBREC, PUBREL or PUBCOMP, as short as it can be.

    Raises:
        ValueError: a failure in 3.1.1, which can't tell it from a success.
    """
    packet_type = _TYPES[type(packet)]
    packet_id = encode_packet_id(packet.packet_id)
    if version != ProtocolVersion.V5:
        if packet.reason_code.is_failure:  # [MQTT311-3.3.5-2]
            raise ValueError(f"3.1.1 would read a {packet_type.name} as a success; close instead")
        return encode_plain_frame(packet_type, packet_id)
    check_own_reason_code(packet.reason_code, packet_type)
    if packet.properties == NO_PROPERTIES:
        code = b"" if packet.reason_code is ReasonCode.SUCCESS else encode_byte(packet.reason_code)
        return encode_plain_frame(packet_type, packet_id, code)
    section = encode_property_section(packet.properties, _CARRIERS[packet_type])
    return encode_plain_frame(packet_type, packet_id, encode_byte(packet.reason_code), section)
