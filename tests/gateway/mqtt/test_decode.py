from __future__ import annotations

import random

import pytest

from gateway.errors import MalformedPacket, MqttError, ProtocolError
from gateway.mqtt import (
    Connect,
    PacketType,
    Pingreq,
    ProtocolVersion,
    Puback,
    Publish,
    Pubrel,
    Sender,
    Subscribe,
    Unsubscribe,
    decode_connect,
    decode_packet,
    encode_packet,
)
from gateway.mqtt.decode import DECODERS
from gateway.mqtt.packet_types import V3_1
from tests.wire.vectors import load_vectors

NO_LIMIT = 1 << 29
FUZZ_SEED = 20_240_601
MUTATIONS_A_VECTOR = 60
RANDOM_BUFFERS = 5_000

VECTORS = load_vectors()


def decode_all(buffer, version, sender):
    """Read packets as a connection does, until one is incomplete or the connection would close."""
    at = 0
    while at < len(buffer):
        if version is None:
            found = decode_connect(buffer, at, NO_LIMIT)
        else:
            found = decode_packet(buffer, at, version, NO_LIMIT, sender)
        if found is None:
            return
        packet, end = found
        assert at < end <= len(buffer)
        at = end
        version = packet.version if isinstance(packet, Connect) else version


def mutate(wire: bytes, chance: random.Random) -> bytes:
    mutant = bytearray(wire)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(mutant) + 1)
        match chance.randrange(4):
            case 0:
                mutant.insert(place, chance.randrange(256))
            case 1:
                del mutant[place : place + chance.randint(1, 4)]
            case 2 if place < len(mutant):
                mutant[place] ^= 1 << chance.randrange(8)
            case _:
                mutant[place : place + 1] = bytes([chance.choice((0, 1, 0x7F, 0x80, 0xFF))])
    return bytes(mutant)


def fix_length(wire: bytes) -> bytes:
    """The same packet with a remaining length that is right, so that its body is read."""
    return wire[:1] + bytes([min(len(wire) - 2, 127)]) + wire[2:] if len(wire) > 2 else wire


def test_mutated_vectors_give_packets_or_our_errors_and_nothing_else():
    chance = random.Random(FUZZ_SEED)
    for vector in VECTORS:
        for _ in range(MUTATIONS_A_VECTOR):
            mutant = mutate(vector.wire, chance)
            for buffer in (mutant, fix_length(mutant)):
                try:
                    decode_all(buffer, vector.version, vector.sender)
                except MqttError as error:
                    assert error.reason_code >= 0x80
                    assert len(str(error)) < 500


def test_random_bytes_give_packets_or_our_errors_and_nothing_else():
    chance = random.Random(FUZZ_SEED)
    for _ in range(RANDOM_BUFFERS):
        buffer = fix_length(chance.randbytes(chance.randint(1, 60)))
        version = chance.choice((None, *ProtocolVersion))
        try:
            decode_all(buffer, version, chance.choice(list(Sender)))
        except MqttError as error:
            assert error.reason_code >= 0x80


def test_what_was_read_from_a_mutant_can_be_written_and_read_again():
    chance = random.Random(FUZZ_SEED)
    for vector in VECTORS:
        if vector.version is None:
            continue
        for _ in range(MUTATIONS_A_VECTOR):
            mutant = fix_length(mutate(vector.wire, chance))
            try:
                found = decode_packet(mutant, 0, vector.version, NO_LIMIT, vector.sender)
            except MqttError:
                continue
            if found is not None:
                wire = encode_packet(found[0], vector.version)
                again = decode_packet(wire, 0, vector.version, NO_LIMIT, vector.sender)
                assert again == (found[0], len(wire))


def test_packets_are_read_one_after_the_other():
    wire = encode_packet(Publish("t", b"p"), 5) + encode_packet(Pingreq(), 5)
    first = decode_packet(wire, 0, 5, NO_LIMIT)
    assert first == (Publish("t", b"p"), len(wire) - 2)
    assert decode_packet(wire, first[1], 5, NO_LIMIT) == (Pingreq(), len(wire))
    assert decode_packet(wire, len(wire), 5, NO_LIMIT) is None


def test_short_pubacks_are_read_in_both_versions_from_any_buffer():
    wire = b"\x40\x02\x01\x02" * 2
    for version in ProtocolVersion:
        for buffer in (wire, bytearray(wire), memoryview(wire)):
            assert decode_packet(buffer, 4, version, NO_LIMIT) == (Puback(0x0102), 8)
            assert decode_packet(buffer[:7], 4, version, NO_LIMIT) is None


def test_a_large_packet_is_refused_before_its_body_has_arrived():
    with pytest.raises(ProtocolError) as caught:
        decode_packet(b"\x30\x80\x80\x80\x01", 0, ProtocolVersion.V5, 1_000_000)
    assert caught.value.reason_code == 0x95


def test_an_oversized_length_is_refused_as_soon_as_it_can_be_known():
    assert decode_packet(b"\x30\x80\x80\x80", 0, ProtocolVersion.V5, 10) is None
    with pytest.raises(MalformedPacket):
        decode_packet(b"\x30\x80\x80\x80\x80", 0, ProtocolVersion.V5, 10)


def test_every_packet_but_connect_has_a_decoder():
    assert set(DECODERS) == set(PacketType) - {PacketType.CONNECT}


def test_nothing_is_no_first_packet_yet():
    assert decode_connect(b"", 0, NO_LIMIT) is None


@pytest.mark.parametrize(
    ("wire", "packet_type"),
    [
        (b"\x6a\x02\x00\x01", Pubrel),
        (b"\x8a\x06\x00\x01\x00\x01a\x00", Subscribe),
        (b"\xaa\x05\x00\x01\x00\x01a", Unsubscribe),
    ],
)
def test_what_mqtt_3_1_sends_again_has_the_dup_flag(wire, packet_type):
    packet, end = decode_packet(wire, 0, V3_1, 1 << 20)
    assert (type(packet), end) == (packet_type, len(wire))
    with pytest.raises(MalformedPacket, match="reserved bits 1010"):
        decode_packet(wire, 0, ProtocolVersion.V3_1_1, 1 << 20)


def test_mqtt_3_1_has_no_packet_of_its_own():
    with pytest.raises(ProtocolError, match="packet type 15"):
        decode_packet(b"\xf0\x00", 0, V3_1, 1 << 20)
