from __future__ import annotations

import pytest

from gateway.clock import ManualClock
from gateway.mqtt import Connect, ProtocolVersion, Publish, encode_packet
from gateway.server.patience import CLOSE_WITHIN_MS
from tests.gateway.server.conftest import Client

V5 = ProtocolVersion.V5


@pytest.fixture
def clock():
    return ManualClock(10**12)


@pytest.fixture
async def server(edge, clock):
    return await edge(clock=clock, connect_within_ms=1_000, packet_within_ms=2_000)


def is_closed_after(server, clock, client, ms):
    clock.advance(ms)
    server.hub.sweep()
    was_open = client.is_open
    clock.advance(1)
    server.hub.sweep()
    return was_open and not client.is_open


@pytest.mark.parametrize("sent", [b"", b"\x10", encode_packet(Connect("c", V5), V5)[:-1]])
async def test_who_does_not_finish_a_connect_is_closed(server, clock, sent):
    client = Client(server)
    if sent:
        client.send_bytes(sent)
    assert is_closed_after(server, clock, client, 1_000)


async def test_bytes_that_trickle_do_not_buy_time(server, clock):
    client = Client(server)
    for byte in encode_packet(Connect("c", V5), V5)[:9]:
        client.send_bytes(bytes([byte]))
        clock.advance(100)
        server.hub.sweep()
    assert is_closed_after(server, clock, client, 100)


async def test_half_a_packet_is_waited_for_and_a_millisecond_for_each_byte(server, clock):
    client = Client(server)
    client.connect()
    half = encode_packet(Publish("t", b"x" * 600), V5)[:500]
    client.send_bytes(half)
    assert is_closed_after(server, clock, client, 2_000 + len(half))


async def test_who_does_not_read_its_farewell_is_cut_off(server, clock, monkeypatch):
    client = Client(server)
    client.connect()
    monkeypatch.setattr(client.pipe, "close", lambda: None)
    client.connection.close()
    cut = []
    monkeypatch.setattr(client.pipe, "abort", lambda: cut.append(True))
    clock.advance(CLOSE_WITHIN_MS)
    server.hub.sweep()
    assert not cut
    clock.advance(1)
    server.hub.sweep()
    assert cut
