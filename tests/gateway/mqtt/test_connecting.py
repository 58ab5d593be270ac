from __future__ import annotations

import pytest

from gateway.mqtt import (
    Connack,
    Connect,
    Properties,
    ProtocolVersion,
    ReasonCode,
    Will,
    announced_version,
    encode_packet,
    encode_refusal,
)
from gateway.mqtt.connecting import encode_connack, encode_connect
from tests.wire.vectors import check, load_vectors

V3_1_1 = ProtocolVersion.V3_1_1
V5 = ProtocolVersion.V5


def connect_for(name: bytes, version: int) -> bytes:
    body = len(name).to_bytes(2, "big") + name + bytes([version]) + b"\xff\xff\xff"
    return b"\x10" + bytes([len(body)]) + body


@pytest.mark.parametrize(
    ("wire", "version"),
    [
        (connect_for(b"MQTT", 4), 4),
        (connect_for(b"MQTT", 5), 5),
        (connect_for(b"MQTT", 6), 6),
        (connect_for(b"MQTT", 5)[:9], 5),
        (connect_for(b"MQIsdp", 3), 3),
        (connect_for(b"MQIsdp", 0), 1),
        (connect_for(b"MQTT", 5)[:8], 0),
        (connect_for(b"HTTP", 5), 0),
        (b"\x20" + connect_for(b"MQTT", 5)[1:], 0),
        (b"\x10\x03\x00\x01\xff", 0),
        (b"\x10\xff\xff\xff\xff", 0),
        (b"\x10", 0),
        (b"", 0),
    ],
)
def test_the_announced_version_is_found_whatever_else_is_wrong(wire, version):
    assert announced_version(wire, 0) == version
    assert announced_version(b"\xff" + wire, 1) == version


@pytest.mark.spec("MQTT311-3.1.2-2")
@pytest.mark.spec("MQTT5-3.1.2-2")
@pytest.mark.parametrize(
    ("version", "answer"),
    [(3, "20020001"), (4, "20020001"), (6, "2003008400"), (255, "2003008400")],
)
def test_a_version_that_we_do_not_speak_is_refused_in_a_form_that_it_knows(version, answer):
    refusal = encode_refusal(ReasonCode.UNSUPPORTED_PROTOCOL_VERSION, version)
    assert refusal == bytes.fromhex(answer)


@pytest.mark.spec("MQTT311-3.1.4-1")
@pytest.mark.spec("MQTT311-3.2.2-6")
def test_what_3_1_1_has_no_return_code_for_is_not_answered():
    assert encode_refusal(ReasonCode.MALFORMED_PACKET, 4) == b""
    assert encode_refusal(ReasonCode.MALFORMED_PACKET, 5) == bytes.fromhex("2003008100")
    assert encode_refusal(ReasonCode.MALFORMED_PACKET, 0) == b""


@pytest.mark.spec("MQTT311-3.1.3-8")
@pytest.mark.spec("MQTT311-3.1.3-9")
def test_a_rejected_client_identifier_is_return_code_2():
    assert encode_refusal(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, 4) == bytes.fromhex("20020002")


@pytest.mark.spec("MQTT5-3.2.2-8")
def test_a_reason_that_is_none_of_a_connack_is_an_unspecified_error():
    assert encode_refusal(ReasonCode.SERVER_SHUTTING_DOWN, 5) == bytes.fromhex("2003008000")


def test_a_connack_for_which_3_1_1_has_no_return_code_is_not_written():
    with pytest.raises(ValueError, match="close instead"):
        encode_connack(Connack(reason_code=ReasonCode.MALFORMED_PACKET), V3_1_1)


def test_a_connect_is_written_in_its_own_version_only():
    with pytest.raises(ValueError, match="can't be written as 4"):
        encode_connect(Connect("id", V5), V3_1_1)


@pytest.mark.parametrize(
    "packet",
    [
        Connect("id", V3_1_1, password=b"p"),
        Connect("id", V5, will=Will("t", b"", qos=3)),
        Connect("id", V5, will=Will("t/#", b"")),
        Connect("id", V5, username="u\x00"),
        Connect("id", V5, keep_alive_s=65_536),
        Connect("id", V5, properties=Properties(authentication_data=b"")),
    ],
)
def test_a_connect_against_the_rules_is_not_written(packet):
    with pytest.raises(ValueError, match=r"\w"):
        encode_packet(packet, packet.version)


@pytest.mark.parametrize("vector", load_vectors("connect", "connack"), ids=str)
def test_its_wire_vectors_hold(vector):
    check(vector)
