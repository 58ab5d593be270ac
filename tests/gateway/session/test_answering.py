from __future__ import annotations

import pytest

from gateway.mqtt import (
    Connack,
    Disconnect,
    Properties,
    ProtocolVersion,
    Puback,
    Pubcomp,
    Pubrec,
    Pubrel,
    ReasonCode,
    Sender,
    Suback,
    Unsuback,
    decode_packet,
)
from gateway.session.answering import REASON_CHARACTERS_MAX, Answers, reason_properties

V3, V5 = ProtocolVersion.V3_1_1, ProtocolVersion.V5
REASON = Properties(reason_string="because")
MORE = Properties(user_properties=(("a", "b"),))
QUOTA = ReasonCode.QUOTA_EXCEEDED


def read(encoded, version=V5):
    return decode_packet(encoded, 0, version, 1 << 28, Sender.SERVER)[0]


@pytest.mark.spec("MQTT5-3.1.2-29")
@pytest.mark.parametrize(
    "packet",
    [
        Puback(1, QUOTA, REASON),
        Pubrec(1, QUOTA, REASON),
        Pubrel(1, properties=REASON),
        Pubcomp(1, properties=REASON),
        Suback(1, (QUOTA,), REASON),
        Unsuback(1, (ReasonCode.SUCCESS,), MORE),
    ],
)
def test_who_wants_no_reasons_gets_none_in_an_acknowledgement(packet):
    assert read(Answers(V5).encode(packet)) == packet
    without = read(Answers(V5, wants_reasons=False).encode(packet))
    assert without.properties == Properties()


@pytest.mark.spec("MQTT5-3.1.2-29")
@pytest.mark.parametrize("packet", [Connack(False, QUOTA, REASON), Disconnect(QUOTA, MORE)])
def test_a_refusal_and_a_farewell_may_give_a_reason_all_the_same(packet):
    assert read(Answers(V5, wants_reasons=False).encode(packet)) == packet


@pytest.mark.spec("MQTT5-3.2.2-19")
@pytest.mark.spec("MQTT5-3.2.2-20")
@pytest.mark.spec("MQTT5-3.4.2-2")
@pytest.mark.spec("MQTT5-3.4.2-3")
@pytest.mark.spec("MQTT5-3.5.2-2")
@pytest.mark.spec("MQTT5-3.5.2-3")
@pytest.mark.spec("MQTT5-3.6.2-2")
@pytest.mark.spec("MQTT5-3.6.2-3")
@pytest.mark.spec("MQTT5-3.7.2-2")
@pytest.mark.spec("MQTT5-3.7.2-3")
@pytest.mark.spec("MQTT5-3.9.2-1")
@pytest.mark.spec("MQTT5-3.9.2-2")
@pytest.mark.spec("MQTT5-3.11.2-1")
@pytest.mark.spec("MQTT5-3.11.2-2")
@pytest.mark.spec("MQTT5-3.14.2-3")
@pytest.mark.spec("MQTT5-3.14.2-4")
@pytest.mark.parametrize("properties", [REASON, MORE], ids=["reason", "user property"])
@pytest.mark.parametrize(
    "make",
    [
        lambda properties: Connack(False, QUOTA, properties),
        lambda properties: Puback(1, QUOTA, properties),
        lambda properties: Pubrec(1, QUOTA, properties),
        lambda properties: Pubrel(1, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND, properties),
        lambda properties: Pubcomp(1, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND, properties),
        lambda properties: Suback(1, (QUOTA,), properties),
        lambda properties: Unsuback(1, (ReasonCode.SUCCESS,), properties),
        lambda properties: Disconnect(QUOTA, properties),
    ],
    ids=["CONNACK", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBACK", "UNSUBACK", "DISCONNECT"],
)
def test_what_is_said_in_words_is_left_out_when_it_does_not_fit(make, properties):
    packet, bare = make(properties), make(Properties())
    size = len(Answers(V5).encode(packet))
    assert read(Answers(V5, size).encode(packet)) == packet
    for most in range(len(Answers(V5).encode(bare)), size):
        assert read(Answers(V5, most).encode(packet)) == bare


@pytest.mark.spec("MQTT5-3.1.2-24")
def test_what_does_not_fit_at_all_is_not_said():
    answers = Answers(V5, 4)
    assert answers.encode(Suback(1, (QUOTA,))) is None
    assert answers.encode(Puback(1)) == b"\x40\x02\x00\x01"
    assert answers.refusal(QUOTA, V5, "because") == b""
    assert Answers(V5, 2).farewell(QUOTA) == b""


def test_a_client_of_3_1_1_is_told_no_reason():
    answers = Answers(V3)
    assert answers.encode(Suback(1, (QUOTA,), REASON)) == b"\x90\x03\x00\x01\x80"
    assert answers.refusal(ReasonCode.NOT_AUTHORIZED, V3, "because") == b"\x20\x02\x00\x05"
    assert answers.farewell(QUOTA, "because") == b""


@pytest.mark.parametrize("reason_code", sorted({*ReasonCode}))
def test_a_farewell_can_be_said_whatever_the_reason(reason_code):
    said = read(Answers(V5).farewell(reason_code, "because"))
    assert said.properties == REASON
    assert said.reason_code in {reason_code, ReasonCode.UNSPECIFIED_ERROR}


def test_a_reason_is_short_and_fit_for_a_log():
    told = reason_properties("a\nb\x1b[31m\ud800" + "x" * 10_000).reason_string
    assert told.startswith("a?b?[31m?x")
    assert len(told) == REASON_CHARACTERS_MAX
    assert reason_properties("") == Properties()
