from __future__ import annotations

import asyncio

import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable
from gateway.mqtt import (
    Connect,
    Disconnect,
    Pingreq,
    Pingresp,
    ProtocolVersion,
    Publish,
    Pubrec,
    ReasonCode,
    Will,
    encode_packet,
)
from gateway.server.hub import SPARE_CONNECTIONS_MIN
from tests.gateway.server.conftest import Client, kept, stored, turn
from tests.harness.waiting import until

V3, V5 = ProtocolVersion.V3_1_1, ProtocolVersion.V5
BOTH = [V3, V5]


@pytest.fixture
def clock():
    return ManualClock(10**12)


async def gone(client):
    """Wait until the server has closed this client's connection."""
    await until(lambda: not client.is_open, "the end of the connection")
    await turn(3)


# One client of a name


@pytest.mark.spec("MQTT5-3.1.4-3")
@pytest.mark.spec("MQTT311-3.1.4-2")
@pytest.mark.parametrize("version", BOTH)
async def test_a_second_connection_takes_the_name_over(edge, version):
    server = await edge()
    first, second = Client(server, version), Client(server, version)
    first.connect("c")
    assert second.connect("c").reason_code == ReasonCode.SUCCESS
    await gone(first)
    assert first.heard() == ([Disconnect(ReasonCode.SESSION_TAKEN_OVER)] if version is V5 else [])
    assert (second.is_open, server.hub.connected) == (True, 1)
    second.send(Pingreq())
    assert second.heard() == [Pingresp()]


async def test_a_session_goes_over_to_the_connection_that_takes_it(edge):
    server = await edge()
    publisher, first, second = Client(server), Client(server), Client(server)
    publisher.connect("p")
    first.connect("c", **kept())
    await first.subscribe("power/#")
    assert second.connect("c", **kept()).session_present
    publisher.publish("power/m", b"1")
    received = []
    await until(lambda: received.extend(second.deliveries()) or received, "the delivery")
    assert [packet.payload for packet in received] == [b"1"]
    assert len(server.fanout.tree) == 1


async def test_the_end_of_a_connection_that_was_taken_over_disturbs_nobody(edge):
    server = await edge()
    first, second = Client(server), Client(server)
    first.connect("c", **kept())
    second.connect("c", **kept())
    await gone(first)
    assert server.hub.connected == 1
    assert len(server.hub.sessions) == 0


@pytest.mark.spec("MQTT5-3.1.2-4")
async def test_a_clean_start_begins_anew(edge):
    server = await edge()
    first, second, third = Client(server), Client(server), Client(server)
    first.connect("c", **kept())
    await first.subscribe("power/#")
    first.send(Disconnect())
    await gone(first)
    assert not second.connect("c", **kept(clean_start=True)).session_present
    assert len(server.fanout.tree) == 0
    second.send(Disconnect())
    await gone(second)
    assert third.connect("c", **kept()).session_present
    assert third.connection.session.state.grants_by_filter == {}


@pytest.mark.spec("MQTT5-3.1.2-5")
@pytest.mark.parametrize("version", BOTH)
async def test_a_kept_session_is_present_again(edge, version):
    server = await edge()
    fields = kept() if version is V5 else {"clean_start": False}
    first, second = Client(server, version), Client(server, version)
    assert not first.connect("c", **fields).session_present
    first.lose()
    assert second.connect("c", **fields).session_present


async def test_a_session_that_was_not_to_be_kept_is_not_present(edge):
    server = await edge()
    first, second = Client(server), Client(server)
    first.connect("c", clean_start=False)
    await first.subscribe("power/#")
    first.lose()
    assert not second.connect("c", clean_start=False).session_present
    assert (len(server.fanout.tree), len(server.hub.sessions)) == (0, 0)


async def test_clients_without_a_name_are_told_apart(edge):
    server = await edge()
    names = {Client(server).connect("").properties.assigned_client_id for _ in range(5)}
    assert len(names) == 5
    assert server.hub.connected == 5


# Limits


async def test_a_client_beyond_the_limit_is_told_that_the_server_is_busy(edge):
    server = await edge(connections_max=4)
    clients = [Client(server) for _ in range(4)]
    for number, client in enumerate(clients):
        client.connect(f"c{number}")
    late = Client(server)
    late.send(Connect("late"))
    (connack,) = late.heard()
    assert connack.reason_code == ReasonCode.SERVER_BUSY
    ((name, seconds),) = connack.properties.user_properties
    assert name == "penstock-retry-after"
    assert f"connect again in {seconds} s" in late.reasons[-1]
    await gone(late)
    clients[0].send(Disconnect())
    await gone(clients[0])
    assert Client(server).connect("later").reason_code == ReasonCode.SUCCESS


async def test_a_client_may_take_its_own_name_over_at_the_limit(edge):
    server = await edge(connections_max=4)
    for number in range(4):
        Client(server).connect(f"c{number}")
    assert Client(server).connect("c0").reason_code == ReasonCode.SUCCESS


async def test_far_beyond_the_limit_connections_are_not_served_at_all(edge):
    server = await edge(connections_max=4)
    served = 4 + SPARE_CONNECTIONS_MIN
    clients = [Client(server) for _ in range(served + 1)]
    assert [client.is_open for client in clients] == [True] * served + [False]
    await turn(3)


async def test_no_more_sessions_are_kept_than_allowed(edge):
    server = await edge(sessions_max=2)
    for number in range(4):
        client = Client(server)
        client.connect(f"c{number}", **kept())
        client.lose()
    assert len(server.hub.sessions) == 2


# Time


async def test_a_session_ends_when_its_time_is_over(edge, clock):
    server = await edge(clock=clock)
    client = Client(server)
    client.connect("c", **kept(60))
    client.lose()
    clock.advance(59_000)
    server.hub.sweep()
    assert len(server.hub.sessions) == 1
    clock.advance(1_000)
    server.hub.sweep()
    assert len(server.hub.sessions) == 0
    assert not Client(server).connect("c", **kept()).session_present


@pytest.mark.spec("MQTT5-4.1.0-1")
@pytest.mark.spec("MQTT311-4.1.0-1")
@pytest.mark.spec("MQTT311-4.1.0-2")
async def test_the_time_of_a_session_begins_when_its_connection_ends(edge, clock):
    server = await edge(clock=clock)
    client = Client(server)
    client.connect("c", **kept(60))
    clock.advance(100_000)
    client.lose()
    clock.advance(59_000)
    server.hub.sweep()
    assert Client(server).connect("c", **kept()).session_present


async def test_a_step_of_the_wall_clock_ends_no_session(edge, clock):
    server = await edge(clock=clock)
    client = Client(server)
    client.connect("c", **kept(60))
    client.lose()
    clock.step(10**9)
    server.hub.sweep()
    assert len(server.hub.sessions) == 1


@pytest.mark.spec("MQTT5-3.1.2-22")
@pytest.mark.spec("MQTT311-3.1.2-24")
@pytest.mark.parametrize("version", BOTH)
async def test_a_silent_client_is_closed_after_one_and_a_half_times_its_keep_alive(
    edge, clock, version
):
    server = await edge(clock=clock)
    client = Client(server, version)
    client.connect("c", keep_alive_s=10)
    server.hub.sweep()
    clock.advance(15_000)
    server.hub.sweep()
    assert client.is_open
    clock.advance(1)
    server.hub.sweep()
    await gone(client)
    assert client.heard() == ([Disconnect(ReasonCode.KEEP_ALIVE_TIMEOUT)] if version is V5 else [])


async def test_anything_that_is_heard_keeps_a_client_alive(edge, clock):
    server = await edge(clock=clock)
    client = Client(server)
    client.connect("c", keep_alive_s=10)
    for packet in [Pingreq(), Publish("t", b"x"), Pingreq()] * 3:
        clock.advance(10_000)
        client.send(packet)
        server.hub.sweep()
    assert client.is_open


async def test_a_keep_alive_of_zero_is_none(edge, clock):
    server = await edge(clock=clock)
    client = Client(server, V3)
    client.connect("c", keep_alive_s=0)
    for _ in range(3):
        clock.advance(10**9)
        server.hub.sweep()
    assert client.is_open


async def test_who_is_not_read_from_is_not_silent(edge, clock):
    server = await edge(clock=clock)
    client = Client(server)
    client.connect("c", keep_alive_s=10)
    client.connection.pause()
    for _ in range(5):
        clock.advance(10_000)
        server.hub.sweep()
    assert client.is_open
    client.connection.resume()
    clock.advance(14_000)
    server.hub.sweep()
    assert client.is_open


async def test_a_connection_without_a_connect_is_closed(edge, clock):
    server = await edge(clock=clock, connect_within_ms=10_000)
    silent, slow = Client(server), Client(server)
    slow.send_bytes(encode_packet(Connect("c"), V5)[:5])
    clock.advance(10_000)
    server.hub.sweep()
    assert silent.is_open
    clock.advance(1)
    server.hub.sweep()
    assert (silent.is_open, slow.is_open) == (False, False)
    await turn(3)
    assert server.hub._connections == set()


async def test_half_a_packet_is_not_waited_for_for_ever(edge, clock):
    server = await edge(clock=clock, packet_within_ms=10_000)
    client = Client(server)
    client.connect("c")
    packet = encode_packet(Publish("t", b"x" * 300), V5)
    client.send_bytes(packet[:50])
    clock.advance(9_000)
    client.send_bytes(packet[50:60])
    server.hub.sweep()
    assert client.is_open
    clock.advance(2_000)
    server.hub.sweep()
    assert not client.is_open


async def test_a_packet_that_was_completed_in_time_is_forgotten(edge, clock):
    server = await edge(clock=clock, packet_within_ms=10_000)
    client = Client(server)
    client.connect("c")
    packet = encode_packet(Publish("t", b"x" * 300), V5)
    client.send_bytes(packet[:50])
    clock.advance(9_000)
    client.send_bytes(packet[50:])
    clock.advance(9_000)
    server.hub.sweep()
    assert client.is_open


# What outlives the gateway


async def restarted(edge, server):
    """Another run over the same store."""
    await server.stop()
    server.store._is_closed = False
    return await edge(server.store)


async def test_a_kept_session_outlives_the_gateway(edge):
    server = await edge()
    publisher, client = Client(server), Client(server)
    publisher.connect("p")
    client.connect("c", **kept())
    await client.subscribe("power/#")
    publisher.publish("power/m", b"1")
    received = []
    await until(lambda: received.extend(client.heard()) or received, "the delivery")
    again = await restarted(edge, server)
    publisher, client = Client(again), Client(again)
    publisher.connect("p")
    publisher.publish("power/m", b"2")
    await until(lambda: again.ingest.accepted, "the commit")
    assert client.connect("c", **kept()).session_present
    deliveries = [packet for packet in client.heard_behind_connack if isinstance(packet, Publish)]
    await until(lambda: deliveries.extend(client.deliveries()) or len(deliveries) == 2, "both")
    assert [(packet.payload, packet.dup) for packet in deliveries] == [(b"1", True), (b"2", False)]


async def test_what_was_received_with_qos_2_outlives_the_gateway(edge):
    server = await edge()
    client = Client(server)
    client.connect("c", **kept())
    client.send(Publish("power/m", b"once", 2, 7))
    await until(lambda: client.heard() == [Pubrec(7)], "the PUBREC")
    again = await restarted(edge, server)
    client = Client(again)
    assert client.connect("c", **kept()).session_present
    client.send(Publish("power/m", b"once", 2, 7, dup=True))
    assert client.heard() == [Pubrec(7)]
    await again.ingest.drain()
    assert stored(again) == [b"once"]


async def test_an_ended_session_leaves_nothing_on_disk(edge):
    server = await edge()
    first, second = Client(server), Client(server)
    first.connect("c", **kept())
    await first.subscribe("power/#")
    await server.ingest.drain()
    assert len(await server.store.table("sessions").items()) == 1
    second.connect("c", clean_start=True)
    await server.ingest.drain()
    assert await server.store.table("sessions").items() == []


# Stopping


async def test_stopping_tells_every_client_and_stores_what_was_taken(edge):
    server = await edge()
    client = Client(server)
    client.connect("c", will=Will("power/gone", b"bye"))
    client.publish("power/m", b"1")
    await server.stop()
    assert not client.is_open
    assert client.heard()[-1] == Disconnect(ReasonCode.SERVER_SHUTTING_DOWN)
    assert stored(server) == [b"1", b"bye"]


async def test_while_stopping_nobody_is_let_in(edge):
    server = await edge()
    server.hub.pause()
    assert not Client(server).is_open
    await turn(3)


async def test_a_qos_2_message_that_is_on_its_way_is_stored_once_across_a_takeover(edge):
    server = await edge()
    first, second = Client(server), Client(server)
    first.connect("c", **kept())
    await server.ingest.drain()
    server.store.is_stuck = True
    first.send(Publish("power/m", b"once", 2, 7))
    await turn(5)
    second.connect("c", **kept())
    second.send(Publish("power/m", b"once", 2, 7, dup=True))
    await turn(5)
    server.store.unstick()
    await server.ingest.drain()
    assert stored(server) == [b"once"]
    await until(lambda: Pubrec(7) in second.heard(), "the PUBREC")


async def test_one_client_that_floods_does_not_hold_up_another(edge):
    server = await edge(uncommitted_bytes_max=10_000)
    flooding, other = Client(server), Client(server)
    flooding.connect("f")
    other.connect("o")
    server.store.is_stuck = True
    flooding.publish("power/m", b"x" * 20_000)
    assert not flooding.pipe.is_reading
    other.send(Pingreq())
    assert other.heard() == [Pingresp()]


async def test_stopping_does_not_wait_for_a_disk_that_stays_full(edge):
    server = await edge(refuse_after_ms=0)
    client = Client(server)
    client.connect("c", **kept())
    server.store.error = StoreUnavailable("the disk is full")
    client.lose()
    try:
        async with asyncio.timeout(1):
            await server.ingest.drain()
    finally:
        server.store.error = None
        await server.ingest.drain()
