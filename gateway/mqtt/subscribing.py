"""SUBSCRIBE, UNSUBSCRIBE and their answers, there and back in both versions."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import MalformedPacket, ProtocolError
from gateway.mqtt.framing import Frame, encode_packet_id, encode_plain_frame, take_packet_id
from gateway.mqtt.packet_types import PacketType, ProtocolVersion, Sender
from gateway.mqtt.packets import Suback, Subscribe, Subscription, Unsuback, Unsubscribe
from gateway.mqtt.primitives import FieldReader, encode_byte, encode_string, shown
from gateway.mqtt.properties import (
    NO_PROPERTIES,
    Carrier,
    encode_property_section,
    take_properties,
)
from gateway.mqtt.qos import QOS_MAX
from gateway.mqtt.reason_codes import (
    ReasonCode,
    check_own_reason_code,
    check_reason_code,
    suback_reason_code,
    suback_return_code,
)
from gateway.mqtt.topics import check_topic_filter, parse_shared_filter

QOS_BITS = 0x03
NO_LOCAL_BIT = 0x04
RETAIN_AS_PUBLISHED_BIT = 0x08
RETAIN_HANDLING_SHIFT = 4
RETAIN_HANDLING_BITS = 0x30
RETAIN_HANDLING_MAX = 2
RESERVED_BITS = 0xC0


def decode_subscribe(frame: Frame, version: int, sender: Sender) -> Subscribe:
    """Read a SUBSCRIBE.

    Raises:
        MalformedPacket: reserved option bits are set, or a topic filter is none.
        ProtocolError: there is no topic filter, or an option has a value that does not exist.

    Spec: MQTT5 §3.8, MQTT311 §3.8
    """
    del sender  # Only clients send it.
    reader = frame.reader()
    packet_id = take_packet_id(reader)
    is_v5 = version == ProtocolVersion.V5
    properties = take_properties(reader, Carrier.SUBSCRIBE) if is_v5 else NO_PROPERTIES
    take = _take_subscription_v5 if is_v5 else _take_subscription_v3_1_1
    subscriptions = []
    while reader.remaining:
        subscriptions.append(take(reader))
    _check_is_not_empty(subscriptions, frame.name)  # [MQTT5-3.8.3-2] [MQTT311-3.8.3-3]
    return Subscribe(packet_id, tuple(subscriptions), properties)


def _take_filter(reader: FieldReader) -> str:
    # [MQTT5-3.8.3-1] [MQTT5-3.10.3-1] [MQTT311-3.8.3-1] [MQTT311-3.10.3-1]
    topic_filter = reader.string("topic filter")
    check_topic_filter(topic_filter)
    return topic_filter


def _take_subscription_v3_1_1(reader: FieldReader) -> Subscription:
    topic_filter = _take_filter(reader)
    options = reader.byte("requested QoS")
    if options > QOS_MAX:  # [MQTT311-3.8.3-4]
        raise MalformedPacket(f"the requested QoS is {options}; there are 0, 1 and 2")
    return Subscription(topic_filter, options)


def _take_subscription_v5(reader: FieldReader) -> Subscription:
    topic_filter = _take_filter(reader)
    options = reader.byte("subscription options")
    if options & RESERVED_BITS:  # [MQTT5-3.8.3-5]
        raise MalformedPacket(f"reserved bits are set in the subscription options {options:08b}")
    subscription = Subscription(
        topic_filter,
        options & QOS_BITS,
        no_local=bool(options & NO_LOCAL_BIT),
        retain_as_published=bool(options & RETAIN_AS_PUBLISHED_BIT),
        retain_handling=(options & RETAIN_HANDLING_BITS) >> RETAIN_HANDLING_SHIFT,
    )
    _check_options(subscription)
    return subscription


def _check_options(subscription: Subscription) -> None:
    """Refuse option values that don't exist, which MQTT5 §3.8.3.1 calls Protocol Errors."""
    if not 0 <= subscription.maximum_qos <= QOS_MAX:
        raise ProtocolError(f"the maximum QoS is {subscription.maximum_qos}; there are 0, 1 and 2")
    if not 0 <= subscription.retain_handling <= RETAIN_HANDLING_MAX:
        raise ProtocolError(
            f"the retain handling is {subscription.retain_handling}; there are 0, 1 and 2"
        )
    # [MQTT5-3.8.3-4]
    if subscription.no_local and parse_shared_filter(subscription.topic_filter) is not None:
        raise ProtocolError(f"no local is set for {shown(subscription.topic_filter)}")


def encode_subscribe(packet: Subscribe, version: int) -> bytes:
    """Write a SUBSCRIBE; ValueError for options that 3.1.1 does not have."""
    is_v5 = version == ProtocolVersion.V5
    _check_is_not_empty(packet.subscriptions, "SUBSCRIBE")
    parts = [encode_packet_id(packet.packet_id)]
    if is_v5:
        parts.append(encode_property_section(packet.properties, Carrier.SUBSCRIBE))
    for subscription in packet.subscriptions:
        check_topic_filter(subscription.topic_filter)
        _check_options(subscription)
        options = _options_of(subscription)
        if not is_v5 and options > QOS_MAX:
            raise ValueError(f"3.1.1 has no subscription options beside the QoS: {subscription}")
        parts += [encode_string(subscription.topic_filter), encode_byte(options)]
    return encode_plain_frame(PacketType.SUBSCRIBE, *parts)


def _options_of(subscription: Subscription) -> int:
    options = subscription.maximum_qos | subscription.retain_handling << RETAIN_HANDLING_SHIFT
    options |= NO_LOCAL_BIT if subscription.no_local else 0
    return options | (RETAIN_AS_PUBLISHED_BIT if subscription.retain_as_published else 0)


def decode_suback(frame: Frame, version: int, sender: Sender) -> Suback:
    """Read a SUBACK.

    Raises:
        ProtocolError: it has no reason code, or one that it can't have.
        MalformedPacket: a return code that 3.1.1 reserves.

    Spec: MQTT5 §3.9, MQTT311 §3.9
    """
    reader = frame.reader()
    packet_id = take_packet_id(reader)
    if version != ProtocolVersion.V5:
        codes = tuple(suback_reason_code(number) for number in reader.rest())
        _check_is_not_empty(codes, frame.name)
        return Suback(packet_id, codes)
    properties = take_properties(reader, Carrier.SUBACK)
    return Suback(packet_id, _take_reason_codes(reader, frame, sender), properties)


def encode_suback(packet: Suback, version: int) -> bytes:
    """Write a SUBACK; in 3.1.1 every failure is 0x80."""
    packet_id = encode_packet_id(packet.packet_id)
    _check_is_not_empty(packet.reason_codes, "SUBACK")
    for reason_code in packet.reason_codes:
        check_own_reason_code(reason_code, PacketType.SUBACK)
    if version != ProtocolVersion.V5:
        codes = bytes(suback_return_code(code) for code in packet.reason_codes)
        return encode_plain_frame(PacketType.SUBACK, packet_id, codes)
    section = encode_property_section(packet.properties, Carrier.SUBACK)
    return encode_plain_frame(PacketType.SUBACK, packet_id, section, bytes(packet.reason_codes))


def decode_unsubscribe(frame: Frame, version: int, sender: Sender) -> Unsubscribe:
    """Read an UNSUBSCRIBE.

    Raises:
        MalformedPacket: a topic filter is none.
        ProtocolError: there is no topic filter.

    Spec: MQTT5 §3.10, MQTT311 §3.10
    """
    del sender  # Only clients send it.
    reader = frame.reader()
    packet_id = take_packet_id(reader)
    properties = NO_PROPERTIES
    if version == ProtocolVersion.V5:
        properties = take_properties(reader, Carrier.UNSUBSCRIBE)
    topic_filters = []
    while reader.remaining:
        topic_filters.append(_take_filter(reader))
    _check_is_not_empty(topic_filters, frame.name)  # [MQTT5-3.10.3-2] [MQTT311-3.10.3-2]
    return Unsubscribe(packet_id, tuple(topic_filters), properties)


def encode_unsubscribe(packet: Unsubscribe, version: int) -> bytes:
    """Write an UNSUBSCRIBE."""
    _check_is_not_empty(packet.topic_filters, "UNSUBSCRIBE")
    parts = [encode_packet_id(packet.packet_id)]
    if version == ProtocolVersion.V5:
        parts.append(encode_property_section(packet.properties, Carrier.UNSUBSCRIBE))
    for topic_filter in packet.topic_filters:
        check_topic_filter(topic_filter)
        parts.append(encode_string(topic_filter))
    return encode_plain_frame(PacketType.UNSUBSCRIBE, *parts)


def decode_unsuback(frame: Frame, version: int, sender: Sender) -> Unsuback:
    """Read an UNSUBACK, which says nothing more than its packet identifier in 3.1.1.

    Raises:
        ProtocolError: it has no reason code in MQTT 5, or one that it can't have.

    Spec: MQTT5 §3.11, MQTT311 §3.11
    """
    reader = frame.reader()
    packet_id = take_packet_id(reader)
    if version != ProtocolVersion.V5:
        reader.finish(frame.name)
        return Unsuback(packet_id)
    properties = take_properties(reader, Carrier.UNSUBACK)
    return Unsuback(packet_id, _take_reason_codes(reader, frame, sender), properties)


def encode_unsuback(packet: Unsuback, version: int) -> bytes:
    """Write an UNSUBACK; 3.1.1 has no place for its reason codes."""
    packet_id = encode_packet_id(packet.packet_id)
    if version != ProtocolVersion.V5:
        return encode_plain_frame(PacketType.UNSUBACK, packet_id)
    _check_is_not_empty(packet.reason_codes, "UNSUBACK")
    for reason_code in packet.reason_codes:
        check_own_reason_code(reason_code, PacketType.UNSUBACK)
    section = encode_property_section(packet.properties, Carrier.UNSUBACK)
    return encode_plain_frame(PacketType.UNSUBACK, packet_id, section, bytes(packet.reason_codes))


def _take_reason_codes(reader: FieldReader, frame: Frame, sender: Sender) -> tuple[ReasonCode, ...]:
    codes = tuple(check_reason_code(number, frame.packet_type, sender) for number in reader.rest())
    _check_is_not_empty(codes, frame.name)
    return codes


def _check_is_not_empty(items: Sequence[object], packet_name: str) -> None:
    if not items:
        raise ProtocolError(f"the payload of {packet_name} is empty")
