from __future__ import annotations

import pytest

from gateway.errors import MalformedPacket, ProtocolError
from gateway.mqtt import PacketType, ProtocolVersion, Sender
from gateway.mqtt.framing import (
    PACKETS_ALLOWED,
    Frame,
    encode_frame,
    encode_packet_id,
    encode_plain_frame,
    has_reserved_bits_right,
    packet_type_at,
    read_frame,
    take_packet_id,
)
from gateway.mqtt.primitives import FieldReader

# MQTT5 §2.1.2, table 2-1: C from clients, S from servers; in brackets, what 3.1.1 does not have.
TABLE = {
    "CONNECT": "C", "CONNACK": "S", "PUBLISH": "CS", "PUBACK": "CS", "PUBREC": "CS",
    "PUBREL": "CS", "PUBCOMP": "CS", "SUBSCRIBE": "C", "SUBACK": "S", "UNSUBSCRIBE": "C",
    "UNSUBACK": "S", "PINGREQ": "C", "PINGRESP": "S", "DISCONNECT": "C[S]", "AUTH": "[CS]",
}  # fmt: skip


def test_each_end_sends_the_packets_of_the_table():
    for name, directions in TABLE.items():
        only_5 = directions.partition("[")[2]
        for sender, letter in ((Sender.CLIENT, "C"), (Sender.SERVER, "S")):
            in_5 = PacketType[name] in PACKETS_ALLOWED[ProtocolVersion.V5, sender]
            in_3_1_1 = PacketType[name] in PACKETS_ALLOWED[ProtocolVersion.V3_1_1, sender]
            assert in_5 == (letter in directions)
            assert in_3_1_1 == (letter in directions and letter not in only_5)


@pytest.mark.spec("MQTT5-2.1.3-1")
@pytest.mark.spec("MQTT311-2.2.2-1")
@pytest.mark.spec("MQTT311-2.2.2-2")
@pytest.mark.parametrize("packet_type", [kind for kind in PacketType if kind.name != "PUBLISH"])
def test_reserved_bits_have_one_right_value(packet_type):
    right = 0b0010 if packet_type.name in {"PUBREL", "SUBSCRIBE", "UNSUBSCRIBE"} else 0
    sender = Sender.CLIENT
    if packet_type not in PACKETS_ALLOWED[ProtocolVersion.V5, sender]:
        sender = Sender.SERVER
    for flags in range(16):
        buffer = bytes([packet_type << 4 | flags])
        assert has_reserved_bits_right(packet_type, flags) == (flags == right)
        if flags == right:
            assert packet_type_at(buffer, 0, ProtocolVersion.V5, sender) is packet_type
        else:
            with pytest.raises(MalformedPacket, match=f"reserved bits {flags:04b}"):
                packet_type_at(buffer, 0, ProtocolVersion.V5, sender)


def test_the_bits_of_publish_are_its_own():
    for flags in range(16):
        buffer = bytes([0x30 | flags])
        found = packet_type_at(buffer, 0, ProtocolVersion.V3_1_1, Sender.SERVER)
        assert found is PacketType.PUBLISH


def test_the_first_byte_says_what_the_packet_is():
    buffer = b"\x00\x82"
    assert packet_type_at(buffer, 1, ProtocolVersion.V5, Sender.CLIENT) is PacketType.SUBSCRIBE
    with pytest.raises(ProtocolError):
        packet_type_at(buffer, 0, ProtocolVersion.V5, Sender.CLIENT)


def test_a_frame_is_cut_out_of_its_buffer():
    frame = read_frame(b"\xff\x3b\x02abrest", 1, PacketType.PUBLISH, 100)
    assert frame == Frame(PacketType.PUBLISH, 0b1011, b"ab", 5, 1)
    assert frame.name == "PUBLISH"
    assert frame.reader().rest() == b"ab"


def test_a_frame_that_is_incomplete_is_none():
    for buffer in (b"\x30", b"\x30\x80", b"\x30\x02", b"\x30\x02a"):
        assert read_frame(buffer, 0, PacketType.PUBLISH, 100) is None


def test_the_size_limit_counts_the_whole_packet():
    assert read_frame(b"\x30\x62" + bytes(98), 0, PacketType.PUBLISH, 100) is not None
    with pytest.raises(ProtocolError, match="PUBLISH of 101 bytes; 100 are accepted") as caught:
        read_frame(b"\x30\x63", 0, PacketType.PUBLISH, 100)
    assert caught.value.reason_code == 0x95


@pytest.mark.spec("MQTT5-1.5.5-1")
def test_a_length_that_could_be_shorter_is_told():
    read_frame(b"\x30\x00", 0, PacketType.PUBLISH, 100).check_length_is_shortest()
    with pytest.raises(MalformedPacket):
        read_frame(b"\x30\x80\x00", 0, PacketType.PUBLISH, 100).check_length_is_shortest()


def test_frames_are_written_with_their_length():
    assert encode_frame(PacketType.PUBLISH, 0b1011, b"a", b"b") == b"\x3b\x02ab"
    assert encode_plain_frame(PacketType.PUBREL, bytes(128)) == b"\x62\x80\x01" + bytes(128)
    assert encode_plain_frame(PacketType.PINGREQ) == b"\xc0\x00"


@pytest.mark.spec("MQTT5-2.2.1-3")
@pytest.mark.spec("MQTT5-2.2.1-4")
@pytest.mark.spec("MQTT311-2.3.1-1")
def test_a_packet_identifier_is_not_zero():
    assert take_packet_id(FieldReader(b"\x01\x02")) == 0x0102
    assert encode_packet_id(0xFFFF) == b"\xff\xff"
    with pytest.raises(ProtocolError):
        take_packet_id(FieldReader(b"\x00\x00"))
    for number in (0, 0x10000, -1):
        with pytest.raises(ValueError, match="no packet identifier"):
            encode_packet_id(number)
