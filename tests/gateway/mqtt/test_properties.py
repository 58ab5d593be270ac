from __future__ import annotations

import pytest

from gateway.errors import MalformedPacket, ProtocolError
from gateway.mqtt import (
    NO_PROPERTIES,
    Carrier,
    Properties,
    decode_publish_properties,
    encode_properties,
)
from gateway.mqtt.primitives import FieldReader
from gateway.mqtt.properties import (
    PROPERTY_ROWS,
    decode_properties,
    encode_property_section,
    take_properties,
)

ANSWERS = "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH"
ALL = ANSWERS + " CONNECT PUBLISH will SUBSCRIBE UNSUBSCRIBE"
# MQTT5 §2.2.2.2, table 2-4, by hand: name, hex of one value, that value, where it may stand.
TABLE = {
    0x01: ("payload_format_indicator", "01", 1, "PUBLISH will"),
    0x02: ("message_expiry_interval_s", "00000102", 258, "PUBLISH will"),
    0x03: ("content_type", "0001 61", "a", "PUBLISH will"),
    0x08: ("response_topic", "0003 612F62", "a/b", "PUBLISH will"),
    0x09: ("correlation_data", "0002 00FF", b"\x00\xff", "PUBLISH will"),
    0x0B: ("subscription_ids", "8001", (128,), "PUBLISH SUBSCRIBE"),
    0x11: ("session_expiry_interval_s", "FFFFFFFF", 0xFFFFFFFF, "CONNECT CONNACK DISCONNECT"),
    0x12: ("assigned_client_id", "0002 6964", "id", "CONNACK"),
    0x13: ("server_keep_alive_s", "003C", 60, "CONNACK"),
    0x15: ("authentication_method", "0001 4D", "M", "CONNECT CONNACK AUTH"),
    0x16: ("authentication_data", "0000", b"", "CONNECT CONNACK AUTH"),
    0x17: ("request_problem_information", "00", 0, "CONNECT"),
    0x18: ("will_delay_interval_s", "0000000A", 10, "will"),
    0x19: ("request_response_information", "01", 1, "CONNECT"),
    0x1A: ("response_information", "0001 72", "r", "CONNACK"),
    0x1C: ("server_reference", "0001 73", "s", "CONNACK DISCONNECT"),
    0x1F: ("reason_string", "0000", "", ANSWERS),
    0x21: ("receive_maximum", "0001", 1, "CONNECT CONNACK"),
    0x22: ("topic_alias_maximum", "0000", 0, "CONNECT CONNACK"),
    0x23: ("topic_alias", "FFFF", 0xFFFF, "PUBLISH"),
    0x24: ("maximum_qos", "01", 1, "CONNACK"),
    0x25: ("retain_available", "00", 0, "CONNACK"),
    0x26: ("user_properties", "0001 6B 0001 76", (("k", "v"),), ALL),
    0x27: ("maximum_packet_size", "00000001", 1, "CONNECT CONNACK"),
    0x28: ("wildcard_subscription_available", "00", 0, "CONNACK"),
    0x29: ("subscription_ids_available", "00", 0, "CONNACK"),
    0x2A: ("shared_subscription_available", "01", 1, "CONNACK"),
}
EACH = pytest.mark.parametrize("identifier", TABLE)
CARRIERS = list(Carrier)


def wire_of(identifier: int) -> bytes:
    return bytes([identifier]) + bytes.fromhex(TABLE[identifier][1])


def properties_of(identifier: int) -> Properties:
    name, _, value, _ = TABLE[identifier]
    return Properties(**{name: value})


def places_of(identifier: int) -> set[Carrier]:
    return {Carrier(place) for place in TABLE[identifier][3].split()}


def test_every_property_has_a_row_and_a_field_in_the_same_order():
    assert [row.name for row in PROPERTY_ROWS] == list(Properties._fields)
    assert [row.identifier for row in PROPERTY_ROWS] == list(TABLE)


@EACH
def test_a_property_is_read_and_written_where_it_may_stand(identifier):
    for carrier in places_of(identifier):
        properties = properties_of(identifier)
        assert decode_properties(wire_of(identifier), carrier) == properties
        assert encode_properties(properties, carrier) == wire_of(identifier)


@EACH
def test_a_property_is_malformed_where_it_may_not_stand(identifier):
    for carrier in set(CARRIERS) - places_of(identifier):
        with pytest.raises(MalformedPacket, match="has no place in") as caught:
            decode_properties(wire_of(identifier), carrier)
        assert caught.value.reason_code == 0x81
        with pytest.raises(ValueError, match="has no place in"):
            encode_properties(properties_of(identifier), carrier)


@EACH
def test_a_property_is_malformed_when_it_is_cut_short(identifier):
    wire = wire_of(identifier)
    for length in range(1, len(wire)):
        with pytest.raises(MalformedPacket):
            decode_properties(wire[:length], next(iter(places_of(identifier))))


@EACH
def test_a_property_that_stands_twice_is_a_protocol_error_unless_it_may(identifier):
    for carrier in places_of(identifier):
        may_repeat = identifier == 0x26 or (identifier == 0x0B and carrier is Carrier.PUBLISH)
        twice = wire_of(identifier) * 2
        if may_repeat:
            name, _, value, _ = TABLE[identifier]
            found = decode_properties(twice, carrier)
            assert found == Properties(**{name: value * 2})
            assert encode_properties(found, carrier) == twice
        else:
            with pytest.raises(ProtocolError, match="twice") as caught:
                decode_properties(twice, carrier)
            assert caught.value.reason_code == 0x82


@pytest.mark.parametrize(
    "identifier", sorted(set(range(0x80)) - set(TABLE)), ids=lambda number: f"0x{number:02X}"
)
def test_an_identifier_that_does_not_exist_is_malformed(identifier):
    with pytest.raises(MalformedPacket, match=f"property 0x{identifier:02X} has no place"):
        decode_properties(bytes([identifier, 0, 0, 0, 0]), Carrier.CONNACK)


@pytest.mark.parametrize(
    ("wire", "carrier", "code"),
    [
        ("01 02", Carrier.PUBLISH, 0x82),
        ("08 0001 2B", Carrier.PUBLISH, 0x82),
        ("08 0000", Carrier.WILL, 0x82),
        ("0B 00", Carrier.SUBSCRIBE, 0x82),
        ("17 02", Carrier.CONNECT, 0x82),
        ("19 FF", Carrier.CONNECT, 0x82),
        ("21 0000", Carrier.CONNECT, 0x82),
        ("23 0000", Carrier.PUBLISH, 0x94),
        ("24 02", Carrier.CONNACK, 0x82),
        ("25 02", Carrier.CONNACK, 0x82),
        ("27 00000000", Carrier.CONNECT, 0x82),
        ("28 02", Carrier.CONNACK, 0x82),
        ("29 02", Carrier.CONNACK, 0x82),
        ("2A 02", Carrier.CONNACK, 0x82),
    ],
)
def test_a_value_that_a_property_can_not_have_is_a_protocol_error(wire, carrier, code):
    with pytest.raises(ProtocolError, match="can't be") as caught:
        decode_properties(bytes.fromhex(wire), carrier)
    assert caught.value.reason_code == code


def test_a_value_that_a_property_can_not_have_is_not_written():
    with pytest.raises(ValueError, match="receive_maximum can't be 0"):
        encode_properties(Properties(receive_maximum=0), Carrier.CONNECT)
    with pytest.raises(ValueError, match="too often"):
        encode_properties(Properties(subscription_ids=(1, 2)), Carrier.SUBSCRIBE)


@pytest.mark.spec("MQTT5-2.2.2-1")
def test_no_properties_are_a_length_of_zero():
    assert encode_property_section(NO_PROPERTIES, Carrier.CONNECT) == b"\x00"
    assert take_properties(FieldReader(b"\x00"), Carrier.CONNECT) is NO_PROPERTIES


def test_properties_stand_behind_their_length():
    many = Properties(user_properties=(("k", "v" * 200),))
    section = encode_property_section(many, Carrier.PUBLISH)
    assert section[:2] == b"\xce\x01"
    reader = FieldReader(section + b"payload")
    assert take_properties(reader, Carrier.PUBLISH) == many
    assert reader.rest() == b"payload"


def test_the_properties_of_a_message_are_kept_without_their_length():
    properties = Properties(content_type="text", user_properties=(("b", "1"), ("a", "2")))
    assert decode_publish_properties(encode_properties(properties)) == properties
    assert decode_publish_properties(b"") is NO_PROPERTIES


def test_the_order_on_the_wire_does_not_matter():
    wire = wire_of(0x26) + wire_of(0x03) + wire_of(0x01)
    assert decode_publish_properties(wire) == Properties(
        payload_format_indicator=1, content_type="a", user_properties=(("k", "v"),)
    )


def test_only_what_is_there_is_shown():
    assert repr(NO_PROPERTIES) == "Properties()"
    assert repr(Properties(topic_alias=0, content_type="")) == (
        "Properties(content_type='', topic_alias=0)"
    )
