from __future__ import annotations

import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable
from gateway.mqtt import Connect, ProtocolVersion, Publish, encode_packet
from gateway.server.patience import CLOSE_WITHIN_MS
from tests.gateway.server.conftest import Client
from tests.harness.waiting import until

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


async def refused_by_a_full_disk(server, version):
    client = Client(server, version)
    client.connect(f"v{version}")
    server.store.error = StoreUnavailable("full")
    client.publish("t", b"lost")
    refused = server.ingest.refused + 1
    await until(lambda: server.ingest.refused == refused, "the refusal")
    return client


async def test_3_1_1_publishers_that_a_full_disk_refused_are_closed_when_it_has_room(edge):
    server = await edge(refuse_after_ms=1)
    older = await refused_by_a_full_disk(server, ProtocolVersion.V3_1_1)
    newer = await refused_by_a_full_disk(server, ProtocolVersion.V5)
    assert older.is_open
    assert older.heard() == []
    server.store.error = None
    other = Client(server)
    other.connect("other")
    other.publish("t", b"stored")
    await until(lambda: not older.is_open, "the end of the connection")
    assert newer.is_open


async def test_3_1_1_publishers_are_closed_after_a_while_also_when_nobody_else_publishes(edge):
    clock = ManualClock(10**12)
    server = await edge(refuse_after_ms=1_000, clock=clock)
    server.ingest._refuse_after_ms = 1
    client = await refused_by_a_full_disk(server, ProtocolVersion.V3_1_1)
    clock.advance(1_000)
    server.hub.sweep()
    assert client.is_open
    clock.advance(1)
    server.hub.sweep()
    await until(lambda: not client.is_open, "the end of the connection")
