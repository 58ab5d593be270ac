from __future__ import annotations

import orjson
import pytest

from firmware_sim import verification
from firmware_sim.connecting import Target, wait_until
from firmware_sim.failures import ServerAbsent
from firmware_sim.fleet import Fleet, RunOptions
from firmware_sim.loader import load_scenario
from firmware_sim.verification import WitnessStand, settle_with_log, topic_filters
from tests.firmware_sim.sink_server import SinkServer, system_clock

OPTIONS = RunOptions(devices=8, duration_ms=1_000, keeps_readings=True)


def fleet_and_target(server):
    target, clock = Target(port=server.port), system_clock()
    return Fleet(load_scenario("demo"), OPTIONS, target, clock), target, clock


def test_filters_match_every_topic_of_a_scenario():
    assert topic_filters(load_scenario("demo")) == [
        "greenhouse/+/climate",
        "pumps/+/status",
        "trucks/+/cargo",
    ]
    assert topic_filters(load_scenario("pump-station")) == ["station/+/status", "station/+/level"]


async def test_a_witness_sees_all_that_an_honest_server_delivers():
    async with SinkServer() as server:
        fleet, target, clock = fleet_and_target(server)
        stand = WitnessStand(fleet, target, clock)
        await stand.begin()
        await fleet.run(lambda _: None)
        verdict = await stand.end()
        assert await wait_until(lambda: not server.links, 5)
    assert verdict.is_good
    assert verdict.stored_once + verdict.stored_again == verdict.taken > 0
    assert server.sink.connects[-1].clean_start


async def test_a_witness_finds_out_a_server_that_acknowledges_and_forgets(monkeypatch):
    monkeypatch.setattr(verification, "WITNESS_QUIET_S", 0.05)
    async with SinkServer() as server:
        fleet, target, clock = fleet_and_target(server)
        stand = WitnessStand(fleet, target, clock)
        await stand.begin()
        server.sink.subscribers.clear()
        await fleet.run(lambda _: None)
        verdict = await stand.end()
    assert not verdict.is_good
    assert verdict.missing == verdict.acknowledged > 0


async def test_without_a_server_there_is_no_witness():
    async with SinkServer() as server:
        fleet, target, clock = fleet_and_target(server)
    with pytest.raises(ServerAbsent):
        await WitnessStand(fleet, target, clock).begin()


async def test_a_log_is_compared_record_by_record(monkeypatch, tmp_path):
    async with SinkServer() as server:
        fleet, _, _ = fleet_and_target(server)
        await fleet.run(lambda _: None)
    kept = server.sink.taken[:-3]

    async def read_log(stream, data_dir, start):
        assert (stream, data_dir) == ("telemetry", tmp_path)
        for taken in kept:
            yield {"topic": taken.topic, "payload": orjson.loads(taken.payload)}
        yield {"topic": "somebody/else", "payload": 1}

    monkeypatch.setattr(verification, "read_log", read_log)
    verdict = await settle_with_log(fleet, tmp_path, "telemetry")
    assert verdict.copies == len(kept)
    assert (verdict.missing, verdict.strangers) == (3, 0)
