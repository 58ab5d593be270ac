from __future__ import annotations

import socket
from contextlib import closing

import pytest

from firmware_sim.failures import LoadFailed
from firmware_sim.load.options import Load
from firmware_sim.load.packets import build_ring
from firmware_sim.load.publisher import Publisher

RING = build_ring("bench/a", window=8, payload_bytes=120, seed=1)


@pytest.fixture
def scripted(monkeypatch):
    """Build a publisher with a window of 4, and the far end of its connection."""
    here, there = socket.socketpair()
    here.settimeout(0)
    monkeypatch.setattr("firmware_sim.load.publisher.open_client", lambda *_, **__: here)
    with closing(here), closing(there):
        yield Publisher(Load(), "p", RING, 4), there


def ack(*packet_ids, reason=b""):
    return b"".join(
        b"\x40" + bytes([2 + len(reason)]) + one.to_bytes(2, "big") + reason for one in packet_ids
    )


def test_a_window_is_filled_and_filled_again(scripted):
    publisher, server = scripted
    assert publisher.send_next()
    assert server.recv(1 << 16) == RING.encoded[: 4 * RING.packet_bytes]
    assert publisher.send_next()
    assert (publisher.sent, publisher.in_flight) == (4, 4)
    server.sendall(ack(1, 2, 3))
    publisher.hear(bytearray(1 << 16))
    assert (publisher.acked, publisher.in_flight) == (3, 1)
    publisher.send_next()
    assert server.recv(1 << 16) == RING.encoded[4 * RING.packet_bytes : 7 * RING.packet_bytes]


@pytest.mark.parametrize("cut", range(1, 12))
def test_acks_may_come_in_any_pieces(scripted, cut):
    publisher, server = scripted
    publisher.send_next()
    acks = ack(1, 2, 3)
    for piece in (acks[:cut], acks[cut:]):
        server.sendall(piece)
        publisher.hear(bytearray(1 << 16))
    assert publisher.acked == 3


def test_acks_with_a_reason_are_longer_and_count_as_one(scripted):
    publisher, server = scripted
    publisher.send_next()
    server.sendall(ack(1, 2, reason=b"\x10"))
    publisher.hear(bytearray(1 << 16))
    server.sendall(ack(3, reason=b"\x10"))
    publisher.hear(bytearray(1 << 16))
    assert (publisher.ack_bytes, publisher.acked) == (5, 3)


def test_every_ack_of_a_followed_message_is_timed(scripted):
    publisher, server = scripted
    for first in (1, 5, 9):
        publisher.send_next()
        server.sendall(ack(*range(first, first + 4)))
        publisher.hear(bytearray(1 << 16))
    assert len(publisher.latencies_ns) == 3
    assert all(ns > 0 for ns in publisher.latencies_ns)


def test_something_else_than_an_ack_ends_the_load(scripted):
    publisher, server = scripted
    publisher.send_next()
    server.sendall(b"\xe0\x01\x97\x00")
    with pytest.raises(LoadFailed, match="e0 01 97"):
        publisher.hear(bytearray(1 << 16))


def test_a_closed_connection_ends_the_load(scripted):
    publisher, server = scripted
    publisher.send_next()
    server.close()
    with pytest.raises(LoadFailed, match="connection"):
        publisher.hear(bytearray(1 << 16))
