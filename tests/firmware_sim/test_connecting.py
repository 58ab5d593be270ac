from __future__ import annotations

import socket

import pytest

from firmware_sim.connecting import Target, greet, wait_until
from firmware_sim.failures import ServerAbsent, ServerRefused
from firmware_sim.sink import Sink
from gateway.mqtt import ProtocolVersion, ReasonCode
from tests.firmware_sim.sink_server import SinkServer, system_clock


@pytest.mark.parametrize("version", list(ProtocolVersion))
async def test_a_server_is_greeted_with_a_session_that_leaves_nothing(version):
    async with SinkServer() as server:
        target = Target(port=server.port, version=version, username="u", password="p")
        await greet(target, "pump-1", system_clock())
        assert await wait_until(lambda: not server.links, 5)
    (connect,) = server.sink.connects
    assert (connect.client_id, connect.clean_start) == ("pump-1", True)
    assert (connect.username, connect.password) == ("u", b"p")


async def test_a_server_that_is_not_there_is_absent():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        target = Target(port=probe.getsockname()[1])
        with pytest.raises(ServerAbsent, match="Connection refused; start one with"):
            await greet(target, "x", system_clock())


async def test_a_server_that_says_no_is_not_called_absent():
    sink = Sink(accept=lambda _: ReasonCode.BAD_USER_NAME_OR_PASSWORD)
    async with SinkServer(sink) as server:
        with pytest.raises(ServerRefused, match="'pump-1': BAD_USER_NAME_OR_PASSWORD"):
            await greet(Target(port=server.port), "pump-1", system_clock())


def test_each_device_gets_credentials_of_its_own():
    target = Target(username="{device}@site", password="key-{device}")
    options = target.line_options("pump-7")
    assert (options.username, options.password) == ("pump-7@site", b"key-pump-7")
    assert Target().line_options("x").password is None


async def test_waiting_ends_with_the_condition_or_in_time():
    assert await wait_until(lambda: True, 0)
    assert not await wait_until(lambda: False, 0.01)


def test_a_device_with_a_key_of_its_own_shows_that():
    target = Target(username="ops", password="secret", keys={"pump-7": "pk1.a"})
    own, other = target.line_options("pump-7"), target.line_options("x")
    assert (own.username, own.password) == ("pump-7", b"pk1.a")
    assert (other.username, other.password) == ("ops", b"secret")
    assert target.client_id_for("witness") == "ops/witness"
    assert Target(username="ops").client_id_for("witness") == "witness"
