from __future__ import annotations

import pytest

from firmware_sim.connecting import Target
from firmware_sim.failures import ServerRefused
from firmware_sim.fleet import Fleet, RunOptions
from firmware_sim.loader import load_scenario
from firmware_sim.sink import Sink
from gateway.mqtt import ReasonCode
from tests.firmware_sim.sink_server import SinkServer, system_clock

OPTIONS = RunOptions(devices=20, duration_ms=1_500, drain_ms=10_000, keeps_readings=True)


def fleet_for(server, options=OPTIONS, rate_hz=10.0):
    scenario = load_scenario("demo").with_rate(rate_hz)
    return Fleet(scenario, options, Target(port=server.port), system_clock())


async def test_a_fleet_runs_is_watched_and_comes_home():
    shown = []
    async with SinkServer() as server:
        fleet = fleet_for(server)
        final = await fleet.run(shown.append)
    assert len(shown) >= 1
    assert final.acknowledged == final.taken == final.published > 100
    assert (final.in_flight, final.buffered) == (0, 0)
    assert final.connected == final.devices == 20
    assert {taken.client_id for taken in server.sink.taken} == {
        member.name for member in fleet.scenario.members(20)
    }


async def test_a_fleet_survives_a_server_that_drops_everybody():
    async with SinkServer() as server:
        server.dies_after = 40
        fleet = fleet_for(server)
        final = await fleet.run(lambda _: None)
    assert server.deaths == 1
    assert final.acknowledged == final.taken
    assert final.reconnects >= 10
    assert fleet.troubles(1)[0].startswith("the server closed the connection")


async def test_a_stopped_fleet_brings_out_what_it_has():
    async with SinkServer() as server:
        fleet = fleet_for(server, RunOptions(devices=5, duration_ms=3_600_000))
        final = await fleet.run(lambda _: fleet.stop())
    assert final.acknowledged == final.taken > 0


async def test_a_fleet_whose_server_is_silent_ends_after_its_drain_time():
    async with SinkServer() as server:
        server.sink.acknowledges = False
        fleet = fleet_for(server, RunOptions(devices=5, duration_ms=1_200, drain_ms=100))
        final = await fleet.run(lambda _: None)
    assert final.acknowledged == 0
    assert final.in_flight > 0


async def test_a_fleet_that_is_refused_does_not_start():
    async with SinkServer(Sink(accept=lambda _: ReasonCode.NOT_AUTHORIZED)) as server:
        with pytest.raises(ServerRefused):
            await fleet_for(server).run(lambda _: None)
    assert len(server.sink.connects) == 1
