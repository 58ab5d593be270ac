from __future__ import annotations

import socket
import sys

import pytest

from firmware_sim.failures import SimulationFailed
from firmware_sim.server_child import ServerChild, ServerPlan
from tests.harness.gateway_process import free_port

LISTEN = """
import socket, sys
with socket.create_server(('127.0.0.1', int(sys.argv[1]))) as server:
    while True:
        server.accept()[0].close()
"""


@pytest.fixture
def port():
    return free_port()


def plan_of(port, script=LISTEN, kill_every_ms=0):
    command = f'{sys.executable} -c "{script}" {port}'
    return ServerPlan(command, "127.0.0.1", port, kill_every_ms)


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


async def test_it_is_up_when_started_and_gone_when_stopped(port):
    child = ServerChild(plan_of(port))
    await child.start()
    assert answers(port)
    await child.stop()
    assert not answers(port)


async def test_it_is_killed_as_often_as_there_is_time_and_is_up_at_the_end(port):
    child = ServerChild(plan_of(port, kill_every_ms=100))
    await child.start()
    try:
        await child.keep_killing(for_ms=350)
        assert child.kills == 3
        assert answers(port)
    finally:
        await child.stop()


async def test_nobody_is_killed_without_being_asked(port):
    child = ServerChild(plan_of(port))
    await child.keep_killing(for_ms=1_000_000)
    assert child.kills == 0


async def test_a_server_that_ends_at_once_is_an_error(port):
    with pytest.raises(SimulationFailed, match="does not listen on"):
        await ServerChild(plan_of(port, "print(5)")).start()


async def test_a_port_that_is_taken_is_an_error(port):
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(SimulationFailed, match=r"something listens on .* already"),
    ):
        await ServerChild(plan_of(port)).start()


@pytest.mark.parametrize(
    ("command", "complaint"),
    [("", "needs a command"), ("a 'b", "can't be read"), ("/no/such/program", "No such file")],
)
async def test_a_command_that_can_not_be_run_is_an_error(port, command, complaint):
    with pytest.raises(SimulationFailed, match=complaint):
        await ServerChild(ServerPlan(command, "127.0.0.1", port)).start()
