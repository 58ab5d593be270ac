from __future__ import annotations

import sys

import pytest

from firmware_sim import gateway_process
from firmware_sim.connecting import Target, greet, wait_until
from firmware_sim.failures import ServerAbsent, SimulationFailed
from firmware_sim.gateway_process import Follower, GatewayProcess, shipped_rules
from firmware_sim.log_reader import read_log
from tests.firmware_sim.sink_server import system_clock


async def test_a_gateway_starts_is_followed_and_stops_cleanly(tmp_path):
    gateway = GatewayProcess(tmp_path / "data", None)
    await gateway.start()
    followed = []
    follower = Follower("telemetry", tmp_path / "data", followed.append)
    try:
        target = Target(gateway.host, gateway.port)
        await greet(target, "x", system_clock())
        await follower.start("earliest")
        assert gateway.is_running
    finally:
        await follower.stop()
        assert await gateway.stop() == 0
    assert not gateway.is_running
    with pytest.raises(ServerAbsent):
        await greet(target, "x", system_clock())
    assert [_ async for _ in read_log("telemetry", tmp_path / "data", "earliest")] == followed == []


async def test_a_gateway_that_can_not_start_is_an_error_in_its_own_words(tmp_path):
    (tmp_path / "bad.yaml").write_text("version: 1\nrules: 5\n")
    gateway = GatewayProcess(tmp_path / "data", tmp_path / "bad.yaml")
    with pytest.raises(SimulationFailed, match=r"the gateway did not start: .*bad\.yaml"):
        await gateway.start()
    assert not gateway.is_running


async def test_a_gateway_that_says_nothing_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setattr(gateway_process, "START_S_MAX", 0.05)
    sleepless = "import signal\nwhile True: signal.pause()"
    monkeypatch.setattr(gateway_process, "PENSTOCK", (sys.executable, "-c", sleepless))
    gateway = GatewayProcess(tmp_path, None)
    with pytest.raises(SimulationFailed, match="it printed nothing"):
        await gateway.start()
    assert not gateway.is_running


async def test_a_gateway_that_does_not_stop_is_killed(monkeypatch, tmp_path):
    monkeypatch.setattr(gateway_process, "STOP_S_MAX", 0.05)
    stubborn = (
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('listening on 127.0.0.1:9', flush=True)\nwhile True: signal.pause()"
    )
    monkeypatch.setattr(gateway_process, "PENSTOCK", (sys.executable, "-c", stubborn))
    gateway = GatewayProcess(tmp_path, None)
    await gateway.start()
    assert (gateway.host, gateway.port) == ("127.0.0.1", 9)
    assert await gateway.stop() == -9


async def test_records_are_passed_on_as_they_come(monkeypatch, tmp_path):
    endless = "import signal\nprint('{\"offset\":7}', flush=True)\nwhile True: signal.pause()"
    monkeypatch.setattr("firmware_sim.log_reader.PENSTOCK", (sys.executable, "-c", endless))
    followed = []
    follower = Follower("alerts", tmp_path, followed.append)
    await follower.start("earliest")
    assert await wait_until(lambda: followed == [{"offset": 7}], 5)
    await follower.stop()


async def test_what_was_never_started_stops_at_once(tmp_path):
    await Follower("alerts", tmp_path, print).stop()
    assert await GatewayProcess(tmp_path, None).stop() == 0


def test_the_shipped_rules_are_found():
    assert any(shipped_rules().glob("*.yaml"))


async def test_children_are_ended_even_if_an_interrupt_has_cancelled_their_readers(
    monkeypatch, tmp_path
):
    endless = (
        "import signal\nprint('listening on 127.0.0.1:9', flush=True)\nwhile True: signal.pause()"
    )
    monkeypatch.setattr(gateway_process, "PENSTOCK", (sys.executable, "-c", endless))
    monkeypatch.setattr("firmware_sim.log_reader.PENSTOCK", (sys.executable, "-c", "input()"))
    gateway, follower = GatewayProcess(tmp_path, None), Follower("alerts", tmp_path, print)
    await gateway.start()
    await follower.start("earliest")
    gateway._reader.cancel()
    follower._reader.cancel()
    await follower.stop()
    await gateway.stop()
    assert not gateway.is_running
    assert follower._child.returncode is not None
