from __future__ import annotations

import socket
from contextlib import closing

import pytest

from firmware_sim.failures import LoadFailed
from firmware_sim.load.fanout import Fanout, Subscriber
from firmware_sim.load.options import FanoutLoad
from firmware_sim.load.packets import build_ring, delivered_bytes, device_topic


@pytest.mark.parametrize(("publishers", "subscribers", "qos"), [(5, 1, 1), (1, 10, 0), (2, 3, 1)])
def test_every_message_reaches_every_subscriber(gateway, watched, publishers, subscribers, qos):
    load = FanoutLoad(
        port=gateway.port,
        publishers=publishers,
        subscribers=subscribers,
        qos=qos,
        window=20,
        warm_up_s=0.05,
        measured_s=0.2,
    )
    run = Fanout(load)
    measured = run.measure(watched)
    run.close()
    assert measured.published > 0
    assert (measured.delivered, measured.lost) == (measured.published * subscribers, 0)
    assert watched.words == ["measuring", "measured"]


@pytest.fixture
def pair():
    here, there = socket.socketpair()
    with closing(here), closing(there):
        yield here, there


@pytest.mark.parametrize("cut", [1, 3, 50, 160, 170, 400])
def test_deliveries_in_pieces_are_acknowledged_once_each_in_order(pair, cut):
    here, server = pair
    ring = build_ring(device_topic(4), window=1, payload_bytes=120, seed=1)
    subscriber = Subscriber(here, 120, 1)
    seen = []
    subscriber.on_packets = seen.append
    whole = ring.encoded[: 3 * ring.packet_bytes]
    for piece in (whole[:cut], whole[cut:]):
        server.sendall(piece)
        assert subscriber.hear(bytearray(1 << 16))
    assert subscriber.received == 3
    assert b"".join(seen) == whole
    server.settimeout(5)
    assert server.recv(100) == b"\x40\x02\x00\x01\x40\x02\x00\x02\x40\x02\x00\x03"


def test_a_message_of_another_kind_ends_the_load(pair):
    here, server = pair
    subscriber = Subscriber(here, 120, 0)
    server.sendall(b"\x32" + bytes(delivered_bytes(device_topic(0), 120, 0) - 1))
    with pytest.raises(LoadFailed, match="32 00"):
        subscriber.hear(bytearray(1 << 16))


def test_a_closed_connection_ends_the_load(pair):
    here, server = pair
    subscriber = Subscriber(here, 120, 0)
    server.close()
    with pytest.raises(LoadFailed, match="subscriber"):
        subscriber.hear(bytearray(1 << 16))
