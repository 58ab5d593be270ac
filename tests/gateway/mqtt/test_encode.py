from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mqtt import (
    Connect,
    Disconnect,
    Pingreq,
    Pingresp,
    Properties,
    ProtocolVersion,
    Puback,
    Publish,
    ReasonCode,
    Sender,
    Subscribe,
    Subscription,
    decode_connect,
    decode_packet,
    encode_packet,
)
from gateway.mqtt.encode import ENCODERS
from tests.wire.strategies import connects, packets_from

NO_LIMIT = 1 << 29
BOTH = pytest.mark.parametrize("version", list(ProtocolVersion))


@BOTH
@pytest.mark.parametrize("sender", list(Sender))
def test_what_is_written_is_read_as_the_same_packet(version, sender):
    @settings(max_examples=150, deadline=None)
    @given(packets_from(sender, version), st.binary(max_size=3))
    def round_trip(packet, more):
        wire = encode_packet(packet, version)
        found = decode_packet(wire + more, 0, version, NO_LIMIT, sender)
        assert found == (packet, len(wire))

    round_trip()


@BOTH
def test_a_written_connect_is_read_as_the_same_connect(version):
    @settings(max_examples=100, deadline=None)
    @given(connects(version))
    def round_trip(packet):
        wire = encode_packet(packet, version)
        assert decode_connect(wire, 0, NO_LIMIT) == (packet, len(wire))

    round_trip()


def test_every_packet_has_an_encoder():
    assert len(ENCODERS) == 15
    assert encode_packet(Pingreq(), 4) == b"\xc0\x00"
    assert encode_packet(Pingresp(), 5) == b"\xd0\x00"


def test_3_1_1_gets_no_properties():
    with_properties = Puback(1, properties=Properties(reason_string="why"))
    with pytest.raises(ValueError, match="has no properties"):
        encode_packet(with_properties, ProtocolVersion.V3_1_1)


def test_a_broken_rule_is_our_own_error_when_we_write():
    for packet in (
        Publish("a/#"),
        Publish("t", qos=3, packet_id=1),
        Subscribe(1, ()),
        Subscribe(1, (Subscription("#/a"),)),
        Connect("a\x07"),
        Disconnect(ReasonCode.SERVER_UNAVAILABLE),
    ):
        with pytest.raises(ValueError, match=type(packet).__name__):
            encode_packet(packet, ProtocolVersion.V5)
