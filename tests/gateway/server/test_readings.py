from __future__ import annotations

from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable
from gateway.server import readings
from gateway.server.readings import memory_bytes
from tests.gateway.server.conftest import Client, kept
from tests.harness.waiting import until


async def test_a_reading_says_who_is_here_and_what_is_stored(edge):
    clock = ManualClock(10**12)
    server = await edge(clock=clock)
    here, away = Client(server), Client(server)
    here.connect("here")
    away.connect("away", **kept())
    await away.subscribe("plant/#")
    await here.subscribe("$share/g/plant/#", "power/+")
    away.lose()
    here.publish("plant/a/b", b"1", b"2", retain=True)
    await until(lambda: len(server.retained) == 1, "commits")
    clock.advance(61_000)
    reading = await server.readings.take()
    assert (reading.clients_connected, reading.clients_disconnected) == (1, 1)
    assert (reading.subscriptions, reading.shared_subscriptions) == (2, 1)
    assert (reading.stored, reading.accepted, reading.retained) == (2, 2, 1)
    assert reading.uptime_s == 61
    assert reading.counters.commits > 0
    assert reading.lag == 0


async def test_a_subscriber_that_lags_is_seen(edge):
    server = await edge()
    client = Client(server)
    client.connect()
    await client.subscribe("t")
    client.connection.pause_writing()
    other = Client(server)
    other.connect("other")
    other.publish("t", *[b"x"] * 20)
    await until(lambda: not client.connection.subscriber.is_live, "the client to fall behind")
    reading = await server.readings.take()
    assert 0 < reading.lag <= 20


async def test_what_the_store_can_not_say_now_is_unknown(edge, monkeypatch):
    server = await edge()

    async def refuse(_):
        raise StoreUnavailable("the disk is away")

    monkeypatch.setattr(server.store, "extents", refuse)
    reading = await server.readings.take()
    assert reading.stored is reading.stored_bytes is None


async def test_the_longest_commit_is_one_of_the_last_seconds(edge):
    clock = ManualClock(10**12)
    server = await edge(clock=clock)
    server.ingest.commit_ms_max.note(7.5, clock.monotonic_ms())
    for _ in range(2):
        assert (await server.readings.take()).commit_ms_max == 7.5
    clock.advance(20_000)
    assert (await server.readings.take()).commit_ms_max == 0


async def test_drops_of_clients_that_have_left_count_on(edge):
    server = await edge()
    client = Client(server)
    client.connect()
    client.connection.subscriber.delivery.dropped = 3
    assert (await server.readings.take()).deliveries_dropped == 3
    client.lose()
    assert (await server.readings.take()).deliveries_dropped == 3


def test_memory_is_what_the_system_says_or_unknown(monkeypatch, tmp_path):
    assert memory_bytes() > 1 << 20
    monkeypatch.setattr(readings, "STATM", tmp_path / "absent")
    assert memory_bytes() is None
