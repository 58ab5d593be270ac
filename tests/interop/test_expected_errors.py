"""What clients of both versions expect when they break the rules: an end, and a reason for it."""

from __future__ import annotations

import pytest

from tests.harness.raw_client import DISCONNECT, SUBSCRIBE, UNSUBSCRIBE
from tests.harness.scripted_client import opened

pytestmark = pytest.mark.interop
V3, V5 = 4, 5
versions = pytest.mark.parametrize("version", [V3, V5], ids=["3.1.1", "5"])
# What is sent, for each version, and the reason that MQTT 5 has for it.
WRONG = {
    "a packet type of zero": (b"\x00\x00", b"\x00\x00", 0x82),
    "flags on PINGREQ": (b"\xc1\x00", b"\xc1\x00", 0x81),
    "a PINGREQ that is not empty": (b"\xc0\x02\x33\x33", b"\xc0\x02\x33\x33", 0x81),
    "both QoS bits": (b"\x36\x05\0\1t\0\1", b"\x36\x06\0\1t\0\1\0", 0x81),
    "DUP with QoS 0": (b"\x38\x03\0\1t", b"\x38\x04\0\1t\0", 0x81),
    "a wildcard in a topic": (b"\x30\x03\0\1#", b"\x30\x04\0\1#\0", 0x81),
    "U+0000 in a topic": (b"\x30\x03\0\1\0", b"\x30\x04\0\1\0\0", 0x81),
    "a topic that is no text": (b"\x30\x03\0\1\xff", b"\x30\x04\0\1\xff\0", 0x81),
    "a topic longer than its packet": (b"\x30\x03\0\5t", b"\x30\x04\0\5t\0", 0x81),
    "packet identifier zero": (b"\x32\x05\0\1t\0\0", b"\x32\x06\0\1t\0\0\0", 0x82),
    "PUBREL with the flags 0000": (b"\x60\x02\0\1", b"\x60\x02\0\1", 0x81),
    "SUBSCRIBE with the flags 0000": (b"\x80\x06\0\1\0\1t\0", b"\x80\x07\0\1\0\0\1t\0", 0x81),
    "SUBSCRIBE for nothing": (b"\x82\x02\0\1", b"\x82\x03\0\1\0", 0x82),
    "SUBSCRIBE with QoS 3": (b"\x82\x06\0\1\0\1t\3", b"\x82\x07\0\1\0\0\1t\3", 0x82),
    "SUBSCRIBE for an empty filter": (b"\x82\x05\0\1\0\0\0", b"\x82\x06\0\1\0\0\0\0", 0x81),
    "UNSUBSCRIBE from nothing": (b"\xa2\x02\0\1", b"\xa2\x03\0\1\0", 0x82),
    "a packet of the server": (b"\x20\x02\0\0", b"\x20\x03\0\0\0", 0x82),
    "a length of five bytes": (b"\x30\xff\xff\xff\xff\x01", b"\x30\xff\xff\xff\xff\x01", 0x81),
}


@pytest.mark.spec("MQTT5-3.14.4-1")
@pytest.mark.spec("MQTT5-3.14.4-2")
@pytest.mark.spec("MQTT5-4.13.1-1")
@pytest.mark.spec("MQTT5-4.13.2-1")
@pytest.mark.spec("MQTT311-4.8.0-1")
@versions
@pytest.mark.parametrize("name", WRONG)
def test_who_breaks_the_rules_hears_why_and_then_nothing(gateway, version, name):
    old, new, code = WRONG[name]
    with opened(gateway.port, version=version) as client:
        client.send((old if version == V3 else new) + b"\xc0\x00")
        last = client.farewell()
    if version == V3:
        assert last is None
    else:
        assert (last.kind, last.code) == (DISCONNECT, code)


# Properties behind the topic of a PUBLISH that it can't have, or not so.
WRONG_PROPERTIES = {
    "an unknown property": (b"\x7f\0", 0x81),
    "a property of another packet": (b"\x21\0\1", 0x81),
    "a property twice": (b"\x01\0\x01\0", 0x82),
    "a payload format of 2": (b"\x01\x02", 0x82),
    "a response topic with a wildcard": (b"\x08\0\1#", 0x82),
    "a subscription identifier": (b"\x0b\x01", 0x82),
    "half a property": (b"\x02\0\0", 0x81),
}


@pytest.mark.spec("MQTT5-4.13.1-1")
@pytest.mark.parametrize("name", WRONG_PROPERTIES)
def test_properties_that_can_not_be_end_the_connection(gateway, name):
    properties, code = WRONG_PROPERTIES[name]
    with opened(gateway.port) as client:
        client.say(3, b"\0\1t" + bytes([len(properties)]) + properties)
        assert client.farewell().code == code


@pytest.mark.spec("MQTT5-2.2.1-6")
@pytest.mark.spec("MQTT5-3.8.4-5")
@pytest.mark.spec("MQTT5-3.8.4-7")
@pytest.mark.spec("MQTT311-2.3.1-7")
@pytest.mark.spec("MQTT311-3.8.4-4")
@versions
@pytest.mark.parametrize("packet_id", [1, 256, 65_535])
def test_one_answer_has_the_identifier_and_a_code_for_each_filter(gateway, version, packet_id):
    properties = b"\0" if version == V5 else b""
    head = packet_id.to_bytes(2, "big") + properties
    with opened(gateway.port, version=version) as client:
        too_deep = b"\1\xe0" + b"a/" * 240 + b"\1"
        client.say(SUBSCRIBE, head + b"\0\1a\0" + b"\0\1b\1" + too_deep + b"\0\1c\2")
        suback = client.hear()
        refused = b"\x8f" if version == V5 else b"\x80"
        assert (suback.packet_id, suback.codes) == (packet_id, b"\0\1" + refused + b"\2")
        client.say(UNSUBSCRIBE, head + b"\0\1a" + b"\0\1c")
        assert client.hear().packet_id == packet_id
        assert client.ping_is_answered()


@pytest.mark.spec("MQTT311-7.0.0-2")
@versions
def test_nothing_beyond_the_specification_is_needed_or_met(gateway, version):
    with opened(gateway.port, version=version) as client:
        client.ask(("errors/plain", 2))
        client.deliver("errors/plain", b"0", 0)
        assert client.take(1)[0].properties == {}


def test_an_error_of_one_client_is_no_other_clients(gateway):
    with opened(gateway.port) as well, opened(gateway.port) as ill:
        ill.send(b"\x00\x00")
        assert ill.farewell().code == 0x82
        assert well.ping_is_answered()
