from __future__ import annotations

import pytest

from gateway.mqtt import (
    Auth,
    Disconnect,
    Properties,
    ProtocolVersion,
    ReasonCode,
    Sender,
    decode_packet,
    encode_packet,
)
from tests.wire.vectors import check, load_vectors

V3_1_1 = ProtocolVersion.V3_1_1
V5 = ProtocolVersion.V5


def test_a_disconnect_is_as_short_as_it_can_be():
    properties = Properties(reason_string="")
    packets = (
        Disconnect(),
        Disconnect(ReasonCode.SERVER_BUSY),
        Disconnect(properties=properties),
    )
    assert [len(encode_packet(packet, V5)) for packet in packets] == [2, 3, 7]


def test_3_1_1_has_no_place_for_the_reason_of_a_disconnect():
    assert encode_packet(Disconnect(), V3_1_1) == b"\xe0\x00"
    with pytest.raises(ValueError, match="close instead"):
        encode_packet(Disconnect(ReasonCode.SERVER_BUSY), V3_1_1)


@pytest.mark.spec("MQTT5-3.14.2-1")
def test_a_disconnect_with_a_reason_of_a_connack_is_not_written():
    with pytest.raises(ValueError, match="DISCONNECT can't say"):
        encode_packet(Disconnect(ReasonCode.SERVER_UNAVAILABLE), V5)


@pytest.mark.spec("MQTT5-3.15.2-1")
@pytest.mark.parametrize(
    ("packet", "version", "complaint"),
    [
        (Auth(), V3_1_1, "3.1.1 has no AUTH"),
        (Auth(ReasonCode.CONTINUE_AUTHENTICATION), V5, "names no authentication method"),
        (Auth(ReasonCode.NOT_AUTHORIZED, Properties(authentication_method="M")), V5, "can't say"),
    ],
)
def test_an_auth_against_the_rules_is_not_written(packet, version, complaint):
    with pytest.raises(ValueError, match=complaint):
        encode_packet(packet, version)


def test_an_auth_that_succeeded_may_be_empty():
    assert encode_packet(Auth(), V5) == b"\xf0\x00"
    assert decode_packet(b"\xf0\x00", 0, V5, 100, Sender.SERVER) == (Auth(), 2)


@pytest.mark.parametrize("vector", load_vectors("closing"), ids=str)
def test_its_wire_vectors_hold(vector):
    check(vector)
