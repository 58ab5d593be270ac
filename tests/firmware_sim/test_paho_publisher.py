from __future__ import annotations

import dataclasses
import sys

import pytest

from firmware_sim.connecting import Target
from firmware_sim.failures import SimulationFailed
from firmware_sim.faults import FaultKind, FaultSpec
from firmware_sim.fleet import Fleet, RunOptions
from firmware_sim.loader import load_scenario
from firmware_sim.paho_publisher import CLIENTS_MAX, check_paho
from gateway.mqtt import ProtocolVersion
from tests.firmware_sim.sink_server import SinkServer, system_clock

pytest.importorskip("paho.mqtt.client")
LINK = {"back_off_first_ms": 10, "back_off_most_ms": 1_000}


def scenario_with(*faults, qos=1, buffer_max=10_000):
    """Three devices that read a value fifty times a second."""
    demo = load_scenario("demo")
    kind = demo.kinds[0]
    link = dataclasses.replace(kind.link, buffer_max=buffer_max, **LINK)
    kind = dataclasses.replace(kind, rate_hz=50.0, faults=faults, link=link, qos=qos)
    return dataclasses.replace(demo, kinds=(kind,), boot_within_ms=10)


async def run(server, scenario, version=ProtocolVersion.V3_1_1):
    options = RunOptions(3, 1_500, keeps_readings=True, client="paho", drain_ms=20_000)
    fleet = Fleet(scenario, options, Target(port=server.port, version=version), system_clock())
    final = await fleet.run(lambda _: None)
    for taken in server.sink.taken:
        fleet.ledger.stored(taken.topic, taken.payload)
    return final, fleet.ledger.settle()


@pytest.mark.parametrize("version", [ProtocolVersion.V3_1_1, ProtocolVersion.V5])
async def test_real_clients_deliver_every_reading(version):
    async with SinkServer() as server:
        final, verdict = await run(server, scenario_with(), version)
    assert {connect.version for connect in server.sink.connects} == {version}
    assert final.acknowledged == verdict.taken == verdict.stored_once >= 150
    assert verdict.strangers == verdict.disordered == 0


async def test_what_breaks_is_sent_again_and_nothing_is_lost():
    fault = FaultSpec(FaultKind.RECONNECT, 500)
    async with SinkServer() as server:
        final, verdict = await run(server, scenario_with(fault))
    assert final.reconnects >= 1
    assert final.acknowledged == verdict.taken
    assert verdict.missing == verdict.strangers == 0


async def test_a_device_that_lost_power_boots_with_what_its_flash_has():
    fault = FaultSpec(FaultKind.POWER_LOSS, 600, 100)
    async with SinkServer() as server:
        final, verdict = await run(server, scenario_with(fault))
    assert final.faults["power_loss"] >= 1
    assert final.acknowledged == verdict.taken
    assert verdict.missing == 0
    assert len(server.sink.connects) > 4


async def test_qos_0_is_sent_and_never_acknowledged():
    async with SinkServer() as server:
        final, verdict = await run(server, scenario_with(qos=0))
    assert final.acknowledged == 0
    assert verdict.unacknowledged == verdict.taken
    assert {taken.qos for taken in server.sink.taken} == {0}


def test_more_devices_than_threads_are_good_for_is_refused():
    check_paho(CLIENTS_MAX)
    with pytest.raises(SimulationFailed, match="1000 at most"):
        check_paho(CLIENTS_MAX + 1)


def test_without_the_library_there_is_a_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(SimulationFailed, match="install it with"):
        check_paho(1)


async def test_a_full_flash_gives_up_the_newest_because_paho_keeps_the_oldest():
    async with SinkServer() as server:
        fault = FaultSpec(FaultKind.RADIO_LOSS, 600, 300)
        final, verdict = await run(server, scenario_with(fault, buffer_max=3))
    assert final.overflowed == verdict.overflowed >= 1
    assert verdict.acknowledged + verdict.overflowed == verdict.taken
