from __future__ import annotations

import logging

import pytest

from gateway.clock import ManualClock
from gateway.mqtt import Connack, Connect, Pingreq, Pingresp, ProtocolVersion, ReasonCode
from gateway.server.options import FlappingOptions
from gateway.session import ServerStopping
from tests.gateway.server.conftest import Client
from tests.harness.waiting import until

FLAPPING = FlappingOptions(takeovers_max=3, within_ms=10_000, delay_ms=20)
V5 = ProtocolVersion.V5


async def fight(server, count=5):
    """Clients that take over from each other until newcomers must wait; returns the last one."""
    for _ in range(count):
        last = Client(server)
        last.connect("pump")
    return last


@pytest.fixture
async def clock():
    return ManualClock(10**12)


@pytest.fixture
async def server(edge, clock):
    return await edge(flapping=FLAPPING, clock=clock)


async def test_a_newcomer_waits_and_then_takes_over(server):
    holder = await fight(server)
    newcomer = Client(server)
    newcomer.send(Connect("pump", V5), Pingreq())
    assert newcomer.heard() == []
    assert not newcomer.pipe.is_reading
    assert holder.is_open
    await until(lambda: not holder.is_open, "the takeover")
    connack, pong = newcomer.heard()
    assert connack.reason_code == ReasonCode.SUCCESS
    assert isinstance(pong, Pingresp)
    assert newcomer.pipe.is_reading


async def test_only_one_waits(server):
    await fight(server)
    first, second = Client(server), Client(server)
    first.send(Connect("pump", V5))
    second.send(Connect("pump", V5))
    (connack,) = second.heard()
    assert isinstance(connack, Connack)
    assert connack.reason_code == ReasonCode.QUOTA_EXCEEDED
    await until(lambda: not second.is_open, "the refused to be closed")
    assert len(server.hub.takeovers) == 1


async def test_who_gives_up_waiting_makes_room_for_another(server):
    await fight(server)
    first, second = Client(server), Client(server)
    first.send(Connect("pump", V5))
    first.lose()
    assert len(server.hub.takeovers) == 0
    second.send(Connect("pump", V5))
    await until(second.heard, "a CONNACK")


async def test_rubbish_behind_a_connect_that_waits_is_found_when_its_turn_comes(server):
    await fight(server)
    newcomer = Client(server)
    newcomer.send(Connect("pump", V5))
    newcomer.send_bytes(b"\xf0\x00" * 3)
    await until(lambda: not newcomer.is_open, "the newcomer to be closed")


async def test_who_comes_when_nobody_is_there_does_not_wait(server):
    (await fight(server)).lose()
    assert Client(server).connect("pump").reason_code == ReasonCode.SUCCESS


async def test_after_a_calm_time_nobody_waits(server, clock, caplog):
    caplog.set_level(logging.INFO)
    await fight(server)
    clock.advance(10_001)
    server.hub.sweep()
    assert "nobody fights over 'pump' any more" in caplog.messages
    assert Client(server).connect("pump").reason_code == ReasonCode.SUCCESS


async def test_who_was_closed_while_it_waited_is_not_let_in(server):
    holder = await fight(server)
    newcomer = Client(server)
    newcomer.send(Connect("pump", V5))
    newcomer.connection.perform(ServerStopping())
    newcomer.pipe.is_open = False
    await until(lambda: len(server.hub.takeovers) == 0, "nobody to wait")
    assert holder.is_open


async def test_waiting_is_no_silence_of_the_client(server, clock):
    await fight(server)
    newcomer = Client(server)
    newcomer.send(Connect("pump", V5))
    newcomer.send_bytes(b"\x30")
    clock.advance(9_000)
    server.hub.sweep()
    assert newcomer.is_open


async def test_a_gateway_that_stops_sends_the_waiting_away(server):
    await fight(server)
    newcomer = Client(server)
    newcomer.send(Connect("pump", V5))
    server.hub.stop()
    await until(lambda: len(server.hub.takeovers) == 0, "nobody to wait")
    assert not newcomer.is_open
