"""The properties of MQTT 5: one row each says its name, how it is written and where it may stand.

A new property costs one row and one field of `Properties`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

from gateway.errors import MalformedPacket, ProtocolError
from gateway.mqtt.primitives import (
    FieldReader,
    encode_binary,
    encode_byte,
    encode_four_byte_integer,
    encode_string,
    encode_string_pair,
    encode_two_byte_integer,
    encode_variable_byte_integer,
)
from gateway.mqtt.reason_codes import ReasonCode
from gateway.mqtt.topics import is_topic_name


class Properties(NamedTuple):
    """What a packet carries beside its fixed fields; None (or an empty tuple) is *absent*.

    Absent is not the same as the default that the specification gives: that is the reader's.

    Spec: MQTT5 §2.2.2
    """

    payload_format_indicator: int | None = None
    message_expiry_interval_s: int | None = None
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    subscription_ids: tuple[int, ...] = ()
    session_expiry_interval_s: int | None = None
    assigned_client_id: str | None = None
    server_keep_alive_s: int | None = None
    authentication_method: str | None = None
    authentication_data: bytes | None = None
    request_problem_information: int | None = None
    will_delay_interval_s: int | None = None
    request_response_information: int | None = None
    response_information: str | None = None
    server_reference: str | None = None
    reason_string: str | None = None
    receive_maximum: int | None = None
    topic_alias_maximum: int | None = None
    topic_alias: int | None = None
    maximum_qos: int | None = None
    retain_available: int | None = None
    user_properties: tuple[tuple[str, str], ...] = ()
    maximum_packet_size: int | None = None
    wildcard_subscription_available: int | None = None
    subscription_ids_available: int | None = None
    shared_subscription_available: int | None = None

    def __repr__(self) -> str:
        shown = (
            f"{row.name}={value!r}"
            for row, value in zip(PROPERTY_ROWS, self, strict=True)
            if not is_absent(value)
        )
        return f"Properties({', '.join(shown)})"


class Carrier(StrEnum):
    """What properties stand in: a control packet, or the will inside a CONNECT."""

    CONNECT = "CONNECT"
    CONNACK = "CONNACK"
    PUBLISH = "PUBLISH"
    WILL = "will"
    PUBACK = "PUBACK"
    PUBREC = "PUBREC"
    PUBREL = "PUBREL"
    PUBCOMP = "PUBCOMP"
    SUBSCRIBE = "SUBSCRIBE"
    SUBACK = "SUBACK"
    UNSUBSCRIBE = "UNSUBSCRIBE"
    UNSUBACK = "UNSUBACK"
    DISCONNECT = "DISCONNECT"
    AUTH = "AUTH"


class PropertyKind(NamedTuple):
    """How the value of a property is written."""

    decode: Callable[[FieldReader, str], Any]
    encode: Callable[[Any], bytes]


BYTE = PropertyKind(FieldReader.byte, encode_byte)
TWO_BYTES = PropertyKind(FieldReader.two_byte_integer, encode_two_byte_integer)
FOUR_BYTES = PropertyKind(FieldReader.four_byte_integer, encode_four_byte_integer)
VARIABLE = PropertyKind(FieldReader.variable_byte_integer, encode_variable_byte_integer)
STRING = PropertyKind(FieldReader.string, encode_string)
STRING_PAIR = PropertyKind(FieldReader.string_pair, encode_string_pair)
BINARY = PropertyKind(FieldReader.binary, encode_binary)


class PropertyRow(NamedTuple):
    """One property: a value that it does not accept is refused with `refusal`."""

    identifier: int
    name: str
    kind: PropertyKind
    carriers: frozenset[Carrier]
    accepts: Callable[[Any], bool] = lambda _: True
    repeats_in: frozenset[Carrier] = frozenset()
    refusal: ReasonCode = ReasonCode.PROTOCOL_ERROR


def is_zero_or_one(value: int) -> bool:
    """What most bytes among the properties must be."""
    return value in {0, 1}


def is_not_zero(value: int) -> bool:
    """What sizes, counts and identifiers must be."""
    return value != 0


def _in(*carriers: Carrier) -> frozenset[Carrier]:
    return frozenset(carriers)


C = Carrier
IN_MESSAGES = _in(C.PUBLISH, C.WILL)
IN_ALL = frozenset(Carrier)
IN_ANSWERS = IN_ALL - _in(C.CONNECT, C.PUBLISH, C.WILL, C.SUBSCRIBE, C.UNSUBSCRIBE)

# In the order of `Properties` (MQTT5 §2.2.2.2, table 2-4).
PROPERTY_ROWS = (
    PropertyRow(0x01, "payload_format_indicator", BYTE, IN_MESSAGES, is_zero_or_one),
    PropertyRow(0x02, "message_expiry_interval_s", FOUR_BYTES, IN_MESSAGES),
    PropertyRow(0x03, "content_type", STRING, IN_MESSAGES),  # [MQTT5-3.3.2-19]
    # A response topic is a topic name [MQTT5-3.3.2-13] without wildcards [MQTT5-3.3.2-14].
    PropertyRow(0x08, "response_topic", STRING, IN_MESSAGES, is_topic_name),
    PropertyRow(0x09, "correlation_data", BINARY, IN_MESSAGES),
    PropertyRow(
        0x0B, "subscription_ids", VARIABLE, _in(C.PUBLISH, C.SUBSCRIBE),
        is_not_zero, repeats_in=_in(C.PUBLISH),
    ),
    PropertyRow(
        0x11, "session_expiry_interval_s", FOUR_BYTES, _in(C.CONNECT, C.CONNACK, C.DISCONNECT)
    ),
    PropertyRow(0x12, "assigned_client_id", STRING, _in(C.CONNACK)),
    PropertyRow(0x13, "server_keep_alive_s", TWO_BYTES, _in(C.CONNACK)),
    PropertyRow(0x15, "authentication_method", STRING, _in(C.CONNECT, C.CONNACK, C.AUTH)),
    PropertyRow(0x16, "authentication_data", BINARY, _in(C.CONNECT, C.CONNACK, C.AUTH)),
    PropertyRow(0x17, "request_problem_information", BYTE, _in(C.CONNECT), is_zero_or_one),
    PropertyRow(0x18, "will_delay_interval_s", FOUR_BYTES, _in(C.WILL)),
    PropertyRow(0x19, "request_response_information", BYTE, _in(C.CONNECT), is_zero_or_one),
    PropertyRow(0x1A, "response_information", STRING, _in(C.CONNACK)),
    PropertyRow(0x1C, "server_reference", STRING, _in(C.CONNACK, C.DISCONNECT)),
    PropertyRow(0x1F, "reason_string", STRING, IN_ANSWERS),
    PropertyRow(0x21, "receive_maximum", TWO_BYTES, _in(C.CONNECT, C.CONNACK), is_not_zero),
    PropertyRow(0x22, "topic_alias_maximum", TWO_BYTES, _in(C.CONNECT, C.CONNACK)),
    PropertyRow(
        0x23, "topic_alias", TWO_BYTES, _in(C.PUBLISH),  # [MQTT5-3.3.2-8]
        is_not_zero, refusal=ReasonCode.TOPIC_ALIAS_INVALID,
    ),
    PropertyRow(0x24, "maximum_qos", BYTE, _in(C.CONNACK), is_zero_or_one),
    PropertyRow(0x25, "retain_available", BYTE, _in(C.CONNACK), is_zero_or_one),
    PropertyRow(0x26, "user_properties", STRING_PAIR, IN_ALL, repeats_in=IN_ALL),
    PropertyRow(0x27, "maximum_packet_size", FOUR_BYTES, _in(C.CONNECT, C.CONNACK), is_not_zero),
    PropertyRow(0x28, "wildcard_subscription_available", BYTE, _in(C.CONNACK), is_zero_or_one),
    PropertyRow(0x29, "subscription_ids_available", BYTE, _in(C.CONNACK), is_zero_or_one),
    PropertyRow(0x2A, "shared_subscription_available", BYTE, _in(C.CONNACK), is_zero_or_one),
)  # fmt: skip

NO_PROPERTIES = Properties()
_NAMES = {row.identifier: row.name for row in PROPERTY_ROWS}
_ROWS_IN = {
    carrier: {row.identifier: row for row in PROPERTY_ROWS if carrier in row.carriers}
    for carrier in Carrier
}


def is_absent(value: object) -> bool:
    """Whether a field of `Properties` says that the property is not there."""
    return value is None or value == ()


def decode_properties(encoded: bytes, carrier: Carrier) -> Properties:
    """Read properties that stand behind one another, without the length that precedes them.

    Raises:
        MalformedPacket: cut short, unknown, or not allowed in `carrier`.
        ProtocolError: one stands twice that must not, or its value is out of its bounds.

    Spec: MQTT5 §2.2.2
    """
    if not encoded:
        return NO_PROPERTIES
    reader = FieldReader(encoded)
    rows = _ROWS_IN[carrier]
    found: dict[str, Any] = {}
    while reader.remaining:
        identifier = reader.variable_byte_integer("property identifier")
        row = rows.get(identifier)
        if row is None:
            name = _NAMES.get(identifier, f"property 0x{identifier:02X}")
            raise MalformedPacket(f"{name} has no place in {carrier}")
        value = row.kind.decode(reader, row.name)
        if row.repeats_in:
            found[row.name] = _with_another(found, row, value, carrier)
        elif row.name in found:
            raise ProtocolError(f"{row.name} stands twice in {carrier}")
        else:
            found[row.name] = value
        if not row.accepts(value):
            raise ProtocolError(f"{row.name} can't be {value!r}", row.refusal)
    return Properties(**found)


def take_properties(reader: FieldReader, carrier: Carrier) -> Properties:
    """Read the length of the properties of a packet, and then the properties.

    Spec: MQTT5 §2.2.2.1
    """
    length = reader.variable_byte_integer("property length")
    return decode_properties(reader.take(length, "properties"), carrier)


def decode_publish_properties(encoded: bytes) -> Properties:
    """Read the properties of an application message as the log keeps them: without a length."""
    return decode_properties(encoded, Carrier.PUBLISH)


def encode_properties(properties: Properties, carrier: Carrier = Carrier.PUBLISH) -> bytes:
    """Write properties in the order of the table, without the length that precedes them.

    Raises:
        ValueError: one has no place in `carrier`, stands too often, or is out of its bounds.
    """
    if properties == NO_PROPERTIES:
        return b""
    encoded = bytearray()
    fields: tuple[Any, ...] = properties
    for row, value in zip(PROPERTY_ROWS, fields, strict=True):
        if is_absent(value):
            continue
        values = value if row.repeats_in else (value,)
        if carrier not in row.carriers or (len(values) > 1 and carrier not in row.repeats_in):
            raise ValueError(f"{row.name} has no place in {carrier}, or stands there too often")
        for each in values:
            if not row.accepts(each):
                raise ValueError(f"{row.name} can't be {each!r}")
            encoded.append(row.identifier)
            encoded += row.kind.encode(each)
    return bytes(encoded)


def encode_property_section(properties: Properties, carrier: Carrier) -> bytes:
    """Write properties behind their length, as a packet carries them; a single zero byte for none.

    Spec: MQTT5 §2.2.2.1 [MQTT5-2.2.2-1]
    """
    encoded = encode_properties(properties, carrier)
    return encode_variable_byte_integer(len(encoded)) + encoded  # [MQTT5-2.2.2-1]


def _with_another(
    found: dict[str, Any], row: PropertyRow, value: object, carrier: Carrier
) -> tuple[Any, ...]:
    before: tuple[Any, ...] = found.get(row.name, ())
    if before and carrier not in row.repeats_in:
        raise ProtocolError(f"{row.name} stands twice in {carrier}")
    return (*before, value)
