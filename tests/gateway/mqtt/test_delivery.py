from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mqtt import (
    NO_PROPERTIES,
    Properties,
    ProtocolVersion,
    Publish,
    encode_packet,
    encode_properties,
    publish_parts,
    with_dup,
)
from tests.wire.strategies import TOPICS

# Payload sizes around those where the remaining length takes another byte.
SIZES = st.sampled_from([0, 1, 100, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128]) | (
    st.sampled_from([16_370, 16_375, 16_378, 16_379, 16_380, 16_381, 16_382, 16_383, 16_384])
)
PROPERTIES = st.sampled_from(
    [
        NO_PROPERTIES,
        Properties(content_type="text", subscription_ids=(1, 200)),
        Properties(user_properties=(("k", "v" * 150),)),
    ]
)


@settings(max_examples=300, deadline=None)
@given(TOPICS, SIZES, st.integers(0, 2), st.booleans(), PROPERTIES)
def test_both_parts_around_a_packet_id_are_what_the_readable_way_writes(
    topic, size, qos, retain, properties
):
    payload = bytes(size)
    for version in ProtocolVersion:
        own = properties if version == ProtocolVersion.V5 else NO_PROPERTIES
        section = encode_properties(own) if version == ProtocolVersion.V5 else None
        head, tail = publish_parts(qos << 1 | retain, topic.encode(), payload, section)
        packet_id = b"\x04\xd2" if qos else b""
        packet = Publish(topic, payload, qos, 1234 if qos else 0, retain, properties=own)
        assert head + packet_id + tail == encode_packet(packet, version)


def test_qos_0_has_nothing_after_its_packet_id():
    assert publish_parts(0, b"t", b"p", None) == (b"\x30\x04\x00\x01tp", b"")


def test_a_very_large_message_has_a_length_of_four_bytes():
    payload = bytes(2_097_152)
    head, tail = publish_parts(0x02, b"t", payload, b"")
    assert head == b"\x32\x86\x80\x80\x01\x00\x01t"
    assert tail == b"\x00" + payload


@pytest.mark.spec("MQTT5-3.3.1-1")
@pytest.mark.spec("MQTT311-3.3.1-1")
def test_a_message_that_is_sent_again_has_dup():
    head, tail = publish_parts(0x03, b"t", b"p", b"")
    again = with_dup(head)
    packet = Publish("t", b"p", 1, 7, retain=True, dup=True)
    assert again + b"\x00\x07" + tail == encode_packet(packet, ProtocolVersion.V5)
    assert with_dup(again) == again


@pytest.mark.parametrize("qos", [0, 1])
def test_a_payload_that_follows_in_pieces_is_counted_in_the_length(qos):
    whole = publish_parts(qos << 1, b"a/b", b"x" * 500, b"")
    before, after = publish_parts(qos << 1, b"a/b", b"", b"", 500)
    assert (before + after, b"x" * 500) == (
        (whole[0] + whole[1]).removesuffix(b"x" * 500),
        b"x" * 500,
    )
