from __future__ import annotations

import pytest

from gateway.mqtt import (
    NO_PROPERTIES,
    Properties,
    ProtocolVersion,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    ReasonCode,
    Sender,
    decode_packet,
    encode_packet,
)
from tests.wire.vectors import check, load_vectors

BOTH = list(ProtocolVersion)


@pytest.mark.parametrize(
    "packet",
    [
        Publish("t", qos=1),
        Publish("t", qos=2, packet_id=65_536),
        Publish("t", packet_id=1),
        Publish("t", dup=True),
        Publish("t", qos=3, packet_id=1),
        Publish("t", qos=-1, packet_id=1),
        Publish("", properties=NO_PROPERTIES),
        Publish("+"),
        Publish("a\x7f"),
    ],
)
def test_a_publish_against_the_rules_is_not_written(packet):
    for version in BOTH:
        with pytest.raises(ValueError, match=r"\w"):
            encode_packet(packet, version)


def test_an_alias_stands_for_the_topic_name():
    packet = Publish("", properties=Properties(topic_alias=1))
    wire = encode_packet(packet, ProtocolVersion.V5)
    assert decode_packet(wire, 0, ProtocolVersion.V5, 100) == (packet, len(wire))


@pytest.mark.parametrize("kind", [Puback, Pubrec, Pubrel, Pubcomp])
def test_an_acknowledgement_is_as_short_as_it_can_be(kind):
    failure = (
        ReasonCode.PACKET_IDENTIFIER_NOT_FOUND
        if kind in (Pubrel, Pubcomp)
        else ReasonCode.QUOTA_EXCEEDED
    )
    properties = Properties(reason_string="")
    sizes = [
        len(encode_packet(packet, ProtocolVersion.V5))
        for packet in (kind(1), kind(1, failure), kind(1, failure, properties))
    ]
    assert sizes == [4, 5, 9]
    assert len(encode_packet(kind(1, properties=properties), ProtocolVersion.V5)) == 9


@pytest.mark.spec("MQTT311-3.3.5-2")
@pytest.mark.parametrize("kind", [Puback, Pubrec])
def test_3_1_1_is_never_sent_a_failure_that_it_would_read_as_a_success(kind):
    with pytest.raises(ValueError, match="as a success"):
        encode_packet(kind(1, ReasonCode.QUOTA_EXCEEDED), ProtocolVersion.V3_1_1)
    wire = encode_packet(kind(1, ReasonCode.NO_MATCHING_SUBSCRIBERS), ProtocolVersion.V3_1_1)
    assert decode_packet(wire, 0, ProtocolVersion.V3_1_1, 100, Sender.SERVER) == (kind(1), 4)


def test_an_acknowledgement_with_a_reason_code_of_another_is_not_written():
    with pytest.raises(ValueError, match="PUBREL can't say"):
        encode_packet(Pubrel(1, ReasonCode.QUOTA_EXCEEDED), ProtocolVersion.V5)


@pytest.mark.parametrize("vector", load_vectors("publish", "acknowledgements"), ids=str)
def test_its_wire_vectors_hold(vector):
    check(vector)
