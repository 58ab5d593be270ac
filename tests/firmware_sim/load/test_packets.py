from __future__ import annotations

import random

import pytest

from firmware_sim.load.packets import (
    build_ring,
    connect_packet,
    delivered_bytes,
    device_topic,
    publish_packet,
    publish_properties,
    subscribe_packet,
    telemetry_payload,
)
from gateway.mqtt import (
    ProtocolVersion,
    Publish,
    Sender,
    Subscribe,
    Subscription,
    decode_connect,
    decode_packet,
)

V3, V5 = ProtocolVersion.V3_1_1, ProtocolVersion.V5
SIZE_MAX = 1 << 20


def publishes(encoded, version):
    """What the product's own decoder reads."""
    found, at = [], 0
    while at < len(encoded):
        packet, at = decode_packet(encoded, at, version, SIZE_MAX)
        found.append(packet)
    return found


@pytest.mark.parametrize("version", [V3, V5])
@pytest.mark.parametrize("is_clean", [True, False])
def test_a_connect_says_who_and_how(version, is_clean):
    encoded = connect_packet("me", "user", "word", version=version, is_clean=is_clean)
    packet, end = decode_connect(encoded, 0, SIZE_MAX)
    assert end == len(encoded)
    assert (packet.client_id, packet.version, packet.clean_start) == ("me", version, is_clean)
    assert (packet.username, packet.password, packet.keep_alive_s) == ("user", b"word", 0)


def test_a_connect_without_credentials_has_none():
    packet, _ = decode_connect(connect_packet("me"), 0, SIZE_MAX)
    assert (packet.username, packet.password, packet.will) == (None, None, None)


def test_a_subscribe_asks_for_one_filter():
    packet, _ = decode_packet(subscribe_packet("a/#", 1), 0, V3, SIZE_MAX)
    assert packet == Subscribe(1, (Subscription("a/#", 1),))


@pytest.mark.parametrize("with_properties", [False, True])
def test_a_ring_holds_publishes_of_one_length_with_changing_content(with_properties):
    ring = build_ring(
        "bench/a", window=10, payload_bytes=120, seed=1, with_properties=with_properties
    )
    found = publishes(ring.encoded, V5 if with_properties else V3)
    assert len(found) == ring.packet_count + 10
    assert len(ring.encoded) == len(found) * ring.packet_bytes
    assert [one.packet_id for one in found[: ring.packet_count]] == [
        *range(1, ring.packet_count + 1)
    ]
    assert len({one.payload for one in found}) == ring.packet_count
    assert found[ring.packet_count :] == found[:10]
    assert all(isinstance(one, Publish) and one.qos == 1 for one in found)
    assert bool(found[0].properties.user_properties) == with_properties


def test_the_same_seed_makes_the_same_ring():
    def ring(seed):
        return build_ring("bench/a", window=5, payload_bytes=120, seed=seed).encoded

    assert ring(1) == ring(1) != ring(2)


def test_the_properties_of_a_message_are_valid():
    encoded = publish_packet("t", b"x", 1, publish_properties(7))
    packet, _ = decode_packet(encoded, 0, V5, SIZE_MAX)
    assert packet.properties.content_type == "application/json"
    assert packet.properties.correlation_data == b"00000007"


@pytest.mark.parametrize("payload_bytes", [120, 121, 400])
def test_a_payload_has_the_length_that_was_asked_for(payload_bytes):
    for sequence in range(200):
        payload = telemetry_payload(random.Random(sequence), sequence, payload_bytes)
        assert len(payload) == payload_bytes


def test_a_payload_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="too small"):
        telemetry_payload(random.Random(1), 1, 60)


@pytest.mark.parametrize("payload_bytes", [1, 100, 102, 103, 104, 200, 16_350, 16_400])
@pytest.mark.parametrize("qos", [0, 1])
def test_a_delivery_is_as_long_as_was_worked_out(payload_bytes, qos):
    whole = publish_packet(device_topic(3), b"x" * payload_bytes, 1)
    packet, _ = decode_packet(whole, 0, V3, SIZE_MAX, Sender.SERVER)
    assert len(packet.payload) == payload_bytes
    if qos:
        assert delivered_bytes(device_topic(3), payload_bytes, 1) == len(whole)
    else:
        body = 2 + len(device_topic(3)) + payload_bytes
        header = 2 if body < 128 else 3 if body < 16_384 else 4
        assert delivered_bytes(device_topic(3), payload_bytes, 0) == header + body
