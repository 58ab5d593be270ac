from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from firmware_sim.connecting import wait_until
from firmware_sim.effects import Dial, HangUp, Send
from firmware_sim.switchboard import TURN_MAX, RunClock, Switchboard, reason_of
from gateway.clock import ManualClock
from tests.firmware_sim.sink_server import system_clock


class Echo(asyncio.Protocol):
    """A server that sends back what it hears, until it hears `bye`."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, arrived):
        if arrived == b"bye":
            self.transport.close()
        else:
            self.transport.write(arrived)


class Puppet:
    """An actor that does what the test says, and notes what happens to it."""

    def __init__(self, due_ms=None, says=b"hello"):
        self.next_due_ms = due_ms
        self.happened = []
        self.answers = {}
        self.says = says

    def advance(self, now_ms):
        self.happened.append(("advance", now_ms))
        self.next_due_ms = None
        return [Dial()] if self.says else []

    def opened(self, now_ms):
        self.happened.append("opened")
        return [Send(self.says)]

    def lost(self, now_ms, why):
        self.happened.append(("lost", why))

    def received(self, arrived, now_ms):
        self.happened.append(arrived)
        return self.answers.get(arrived, [])

    def block(self, now_ms, *, is_blocked):
        self.happened.append(("block", is_blocked))
        return []


@pytest.fixture
async def echo():
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


def board_of(port, *actors):
    clock = system_clock()
    for actor in actors:
        actor.next_due_ms = clock.now_ms() if actor.next_due_ms is None else actor.next_due_ms
    return Switchboard(actors, "127.0.0.1", port, clock)


async def test_an_actor_dials_speaks_hears_and_is_told_of_the_end(echo):
    puppet = Puppet()
    puppet.answers = {b"hello": [Send(b"bye")]}
    board = board_of(echo, puppet)
    board.start()
    assert await wait_until(lambda: len(puppet.happened) == 4, 5)
    assert puppet.happened[1:] == ["opened", b"hello", ("lost", "the server closed the connection")]
    assert board.connections == 0
    await board.stop()


async def test_a_refused_dial_is_a_loss_in_the_systems_words():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        puppet = Puppet()
        board = board_of(probe.getsockname()[1], puppet)
        board.start()
        assert await wait_until(lambda: len(puppet.happened) == 2, 5)
        await board.stop()
    assert puppet.happened[1] == ("lost", "Connection refused")


async def test_after_hanging_up_nothing_is_heard_of_the_old_connection(echo):
    puppet = Puppet()
    puppet.answers = {b"hello": [Send(b"more"), HangUp(is_abrupt=True)]}
    board = board_of(echo, puppet)
    board.start()
    assert await wait_until(lambda: b"hello" in puppet.happened, 5)
    assert await wait_until(lambda: board.connections == 0, 5)
    await board.stop()
    assert puppet.happened[-1] == b"hello"


async def test_a_polite_end_lets_the_last_bytes_leave(echo):
    puppet = Puppet(says=b"x" * 300_000)
    board = board_of(echo, puppet)
    board.start()
    assert await wait_until(lambda: len(puppet.happened) > 2, 5)
    board.command(lambda actor, now_ms: [Send(b"last"), HangUp(is_abrupt=False)])
    assert await wait_until(lambda: board.connections == 0, 5)
    await board.stop()


async def test_a_dial_that_is_given_up_never_opens(echo):
    puppet = Puppet()
    puppet.advance = lambda now_ms: (
        setattr(puppet, "next_due_ms", None) or [Dial(), HangUp(is_abrupt=True)]
    )
    board = board_of(echo, puppet)
    board.start()
    assert await wait_until(lambda: puppet.next_due_ms is None and board.connections == 0, 5)
    await board.stop()
    assert puppet.happened == []


async def test_more_actors_than_a_turn_takes_are_all_woken(echo):
    puppets = [Puppet(says=b"") for _ in range(3 * TURN_MAX)]
    board = board_of(echo, *puppets)
    board.start()
    assert await wait_until(lambda: all(puppet.happened for puppet in puppets), 5)
    await board.stop()


async def test_actors_are_woken_in_the_order_of_their_times(echo):
    clock, order = system_clock(), []
    puppets = [Puppet(clock.now_ms() + 30 * (3 - number), says=b"") for number in range(3)]
    for number, puppet in enumerate(puppets):
        puppet.advance = lambda now_ms, p=puppet, n=number: (
            order.append(n) or setattr(p, "next_due_ms", None) or []
        )
    board = Switchboard(puppets, "127.0.0.1", echo, clock)
    board.start()
    assert await wait_until(lambda: len(order) == 3, 5)
    await board.stop()
    assert order == [2, 1, 0]


async def test_a_stopped_board_wakes_nobody(echo):
    puppet = Puppet()
    board = board_of(echo, puppet)
    board.start()
    await board.stop()
    assert board.connections == 0
    assert "opened" not in puppet.happened


def test_a_run_clock_ignores_steps_of_the_wall_clock():
    clock = ManualClock(1_000_000)
    run_clock = RunClock(clock)
    clock.advance(50)
    clock.step(-3_600_000)
    assert run_clock.now_ms() == 1_000_050


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"), "Connection refused"),
        (TimeoutError(), "no answer"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (OSError("odd"), "odd"),
    ],
)
def test_reasons_are_in_plain_words(error, why):
    assert reason_of(error) == why
