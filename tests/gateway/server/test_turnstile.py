from __future__ import annotations

import random

import pytest

from gateway.clock import ManualClock
from gateway.mqtt import Connack, Connect, encode_packet
from gateway.server.turnstile import TURN_MS, Turnstile
from tests.gateway.server.conftest import Client, turn


@pytest.fixture
def clock():
    return ManualClock(10**12)


@pytest.fixture
def done():
    return []


def work(clock, done, name, takes_ms=1):
    def do():
        done.append(name)
        clock.advance(takes_ms)

    return do


async def test_a_single_newcomer_is_let_through_at_once(clock, done):
    turnstile = Turnstile(clock)
    turnstile.enter(work(clock, done, "a"))
    assert (done, len(turnstile)) == (["a"], 0)


async def test_a_turn_does_as_much_as_it_has_time_for(clock, done):
    turnstile = Turnstile(clock, turn_ms=3)
    for name in range(10):
        turnstile.enter(work(clock, done, name))
    assert (done, len(turnstile)) == ([0, 1, 2], 7)
    turnstile._turn()
    assert (done, len(turnstile)) == (list(range(6)), 4)
    await turn(3)
    assert (done, len(turnstile)) == (list(range(10)), 0)


async def test_each_turn_does_something_however_long_it_takes(clock, done):
    turnstile = Turnstile(clock)
    for name in range(3):
        turnstile.enter(work(clock, done, name, takes_ms=10 * TURN_MS))
    for count in range(1, 4):
        assert len(done) == count
        turnstile._turn()


async def test_time_that_passes_between_newcomers_is_not_theirs(clock, done):
    turnstile = Turnstile(clock)
    for name in range(5):
        turnstile.enter(work(clock, done, name, takes_ms=0))
        clock.advance(1_000)
    assert done == list(range(5))


@pytest.mark.parametrize("seed", range(20))
async def test_nobody_overtakes_anybody(clock, done, seed):
    rng = random.Random(seed)
    turnstile = Turnstile(clock, turn_ms=rng.randrange(1, 5))
    for name in range(60):
        turnstile.enter(work(clock, done, name, rng.randrange(4)))
        if rng.random() < 0.3:
            await turn()
    await turn(80)
    assert done == list(range(60))


async def test_a_piece_of_work_that_fails_keeps_nobody_else_waiting(clock, done):
    turnstile = Turnstile(clock, turn_ms=1)

    def fail():
        raise LookupError

    turnstile.enter(work(clock, done, "first"))
    turnstile.enter(fail)
    turnstile.enter(work(clock, done, "last"))
    with pytest.raises(LookupError):
        turnstile._turn()
    await turn()
    assert done == ["first", "last"]


@pytest.fixture
async def crowded(edge):
    """Build a server whose turnstile has a queue already."""
    server = await edge()
    server.hub.turnstile._spent_ms = TURN_MS
    turnstile = server.hub.turnstile
    turnstile.enter(lambda: None)
    return server


async def test_what_a_newcomer_says_waits_for_its_turn(crowded):
    client = Client(crowded)
    whole = encode_packet(Connect("c", client.version), client.version)
    client.send_bytes(whole[:5])
    assert client.pipe.is_reading
    client.send_bytes(whole[5:])
    assert (client.heard(), client.pipe.is_reading) == ([], False)
    crowded.hub.turnstile._turn()
    (connack,) = client.heard()
    assert isinstance(connack, Connack)
    assert client.pipe.is_reading


async def test_who_waits_for_its_turn_is_not_late(crowded):
    client = Client(crowded)
    silent = Client(crowded)
    client.send(Connect("c", client.version))
    crowded.hub.clock.advance(20_000)
    crowded.hub.sweep()
    assert (client.is_open, silent.is_open) == (True, False)


async def test_who_leaves_before_its_turn_has_been_heard(crowded):
    client = Client(crowded)
    client.send(Connect("c", client.version))
    client.publish("plant/a", b"1", qos=0)
    client.lose()
    crowded.hub.turnstile._turn()
    await turn(5)
    assert (crowded.hub.connected, crowded.ingest.accepted) == (0, 1)


async def test_everything_that_comes_with_one_read_is_answered_with_one_write(edge):
    client = Client(await edge())
    client.connect()
    writes = []
    client.pipe.write = writes.append
    client.send_bytes(b"\xc0\x00" * 5)
    assert writes == [b"\xd0\x00" * 5]
