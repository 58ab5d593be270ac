from __future__ import annotations

from gateway.mqtt import PacketType, ProtocolVersion, Sender


def test_packet_types_have_the_numbers_of_the_specification():
    assert [packet_type.value for packet_type in PacketType] == list(range(1, 16))
    assert PacketType.PUBREL == 6
    assert PacketType.AUTH == 15


def test_versions_have_the_numbers_of_connect():
    assert {version.name: version.value for version in ProtocolVersion} == {"V3_1_1": 4, "V5": 5}


def test_there_are_two_ends():
    assert [sender.value for sender in Sender] == ["client", "server"]
