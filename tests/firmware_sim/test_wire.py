from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.wire import (
    Inbox,
    MessageFrame,
    PublishFrame,
    encode_remaining_length,
    mark_repeated,
)
from gateway.errors import MqttError
from gateway.mqtt import (
    Connack,
    Pingresp,
    Properties,
    ProtocolVersion,
    Puback,
    Publish,
    ReasonCode,
    decode_packet,
    encode_packet,
)

VERSIONS = st.sampled_from(list(ProtocolVersion))
TOPIC_CHARACTERS = st.characters(
    codec="utf-8", exclude_categories=["Cc", "Cn"], exclude_characters="+#"
)
TOPICS = st.text(TOPIC_CHARACTERS, min_size=1, max_size=40)


@given(TOPICS, st.integers(0, 1), VERSIONS, st.integers(1, 65_535), st.binary(max_size=300))
@settings(deadline=None)
def test_a_frame_is_what_the_codec_writes(topic, qos, version, packet_id, payload):
    frame = PublishFrame(topic, qos, version)
    packet = Publish(topic, payload, qos=qos, packet_id=packet_id if qos else 0)
    assert frame.encode(packet_id, payload) == encode_packet(packet, version)


@pytest.mark.spec("MQTT5-3.3.1-1")
@pytest.mark.spec("MQTT311-3.3.1-1")
@given(st.integers(1, 65_535), st.binary(max_size=50))
def test_a_repeat_differs_by_dup_alone(packet_id, payload):
    frame = PublishFrame("a/b", 1, ProtocolVersion.V3_1_1)
    repeat = mark_repeated(frame.encode(packet_id, payload))
    expected = Publish("a/b", payload, qos=1, packet_id=packet_id, dup=True)
    assert decode_packet(repeat, 0, ProtocolVersion.V3_1_1, 1 << 20) == (expected, len(repeat))


@pytest.mark.parametrize(
    ("length", "encoded"),
    [(0, "00"), (127, "7f"), (128, "8001"), (16_383, "ff7f"), (268_435_455, "ffffff7f")],
)
def test_remaining_lengths_are_those_of_the_specification(length, encoded):
    assert encode_remaining_length(length).hex() == encoded


ANSWERS = [
    Connack(),
    Puback(1),
    Puback(0x4002),
    Pingresp(),
    Publish("a", b"\x40\x02\x00\x01", qos=1, packet_id=9),
    Puback(65_535),
]


@given(VERSIONS, st.lists(st.integers(1, 12), max_size=30))
def test_answers_arrive_alike_however_they_are_cut(version, cuts):
    stream = b"".join(encode_packet(packet, version) for packet in ANSWERS)
    inbox, acknowledged, packets = Inbox(version), [], []
    for size in [*cuts, len(stream)]:
        arrivals = inbox.feed(stream[:size])
        stream = stream[size:]
        acknowledged += arrivals.acknowledged
        packets += arrivals.packets
    assert acknowledged == [1, 0x4002, 65_535]
    assert packets == [packet for packet in ANSWERS if not isinstance(packet, Puback)]


def test_a_failure_is_no_acknowledgement():
    packet = Puback(7, ReasonCode.QUOTA_EXCEEDED)
    arrivals = Inbox(ProtocolVersion.V5).feed(encode_packet(packet, ProtocolVersion.V5))
    assert (arrivals.acknowledged, arrivals.refused) == ([], [7])


def test_what_no_server_sends_is_an_error():
    with pytest.raises(MqttError):
        Inbox(ProtocolVersion.V3_1_1).feed(bytes.fromhex("c000"))


def test_a_cleared_inbox_forgets_half_a_packet():
    inbox = Inbox(ProtocolVersion.V3_1_1)
    inbox.feed(bytes.fromhex("4002"))
    inbox.clear()
    assert inbox.feed(bytes.fromhex("40020001")).acknowledged == [1]


def test_a_numbered_frame_carries_its_sequence_number():
    frame = PublishFrame("a/b", 1, ProtocolVersion.V5).numbered("17-5")
    packet, _ = decode_packet(frame.encode(9, b"x"), 0, ProtocolVersion.V5, 1 << 20)
    assert packet == Publish(
        "a/b", b"x", 1, 9, properties=Properties(user_properties=(("penstock-seq", "17-5"),))
    )


@pytest.mark.parametrize("version", list(ProtocolVersion))
def test_a_message_has_its_properties_where_the_version_has_any(version):
    asked = Properties(correlation_data=b"x")
    frame = MessageFrame("a", version, asked)
    packet, _ = decode_packet(frame.encode(9, b"y"), 0, version, 1 << 20)
    expected = asked if version is ProtocolVersion.V5 else Properties()
    assert packet == Publish("a", b"y", 1, 9, properties=expected)
