from __future__ import annotations

import asyncio
import random

import pytest

from gateway.mqtt import Connect
from gateway.server.subscriber import Subscriber
from gateway.session import (
    Opened,
    Outgoing,
    Position,
    Session,
    SessionOptions,
    SessionState,
    Terms,
)
from tests.gateway.server.conftest import turn

PLAIN = Terms(2, no_local=False, retain_as_published=False, subscription_ids=b"")


@pytest.fixture
def make():
    """Build a subscriber; what it writes and saves is in its `written` and `saves`."""

    def build(expiry_ms=None, in_flight_max=10, held_bytes_max=1_000):
        session = Session(SessionOptions(in_flight_max=in_flight_max), "auto")
        session.handle(Connect("c"))
        session.handle(Opened(SessionState("c", expiry_ms), False))
        written, saves = [], []
        made = Subscriber(
            session, written.append, lambda _, done: saves.append(done), held_bytes_max
        )
        made.written, made.saves = written, saves
        return made

    return build


def offer(subscriber, payload, qos=1):
    message = Outgoing(b"t", payload, qos << 1, b"", 0)
    return subscriber.delivery.offer(message, PLAIN, Position("s", 0, 0, qos))


async def test_what_waits_is_written_at_once(make):
    subscriber = make()
    offer(subscriber, b"1", qos=0)
    offer(subscriber, b"2", qos=1)
    subscriber.flush()
    (written,) = subscriber.written
    assert written.index(b"1") < written.index(b"2")
    subscriber.flush()
    assert (len(subscriber.written), subscriber.saves) == (1, [])


async def test_nothing_to_write_leaves_the_saved_state_as_it_is(make):
    subscriber = make()
    subscriber.flush()
    assert (subscriber.is_dirty, subscriber.written) == (False, [])
    offer(subscriber, b"1")
    subscriber.flush()
    assert subscriber.is_dirty


async def test_a_message_of_qos_2_is_written_when_its_identifier_is_saved(make):
    subscriber = make()
    offer(subscriber, b"1", qos=2)
    subscriber.flush()
    assert (subscriber.written, len(subscriber.saves)) == ([], 1)
    subscriber.saves.pop()()
    assert len(subscriber.written) == 1


async def test_nothing_overtakes_what_is_being_saved(make):
    subscriber = make()
    offer(subscriber, b"first", qos=2)
    subscriber.flush()
    offer(subscriber, b"second", qos=0)
    subscriber.flush()
    offer(subscriber, b"third", qos=2)
    subscriber.flush()
    assert subscriber.written == []
    for done in subscriber.saves:
        done()
    written = b"".join(subscriber.written)
    places = [written.index(payload) for payload in (b"first", b"second", b"third")]
    assert places == sorted(places)


async def test_a_session_that_ends_with_its_connection_saves_nothing(make):
    subscriber = make(expiry_ms=0)
    offer(subscriber, b"1", qos=2)
    subscriber.flush()
    assert (len(subscriber.written), subscriber.saves) == (1, [])


async def test_waiting_for_room_ends_with_an_acknowledgement(make):
    subscriber = make(in_flight_max=1)
    offer(subscriber, b"1")
    waiting = asyncio.ensure_future(subscriber.wait_for_room())
    await turn(3)
    subscriber.resume()
    await turn(3)
    assert not waiting.done()
    subscriber.state.in_flight.clear()
    subscriber.resume()
    await waiting


async def test_waiting_for_room_ends_when_the_socket_takes_bytes_again(make):
    subscriber = make()
    subscriber.clog()
    assert not subscriber.can_take
    waiting = asyncio.ensure_future(subscriber.wait_for_room())
    await turn(3)
    assert not waiting.done()
    subscriber.unclog()
    await waiting
    assert subscriber.can_take


async def test_everyone_who_asked_is_told_of_room(make):
    subscriber = make()
    told = []
    subscriber.on_room.append(lambda: told.append(True))
    subscriber.resume()
    subscriber.unclog()
    assert told == [True, True]


async def test_the_tail_can_be_left_and_reached_again(make):
    subscriber = make()
    subscriber.leave_tail()
    assert (subscriber.is_live, subscriber.live.is_set()) == (False, False)
    subscriber.rejoin()
    assert (subscriber.is_live, subscriber.live.is_set()) == (True, True)


async def test_leaving_ends_everything_that_works_for_a_client(make):
    subscriber = make()
    for _ in range(3):
        subscriber.start(asyncio.ensure_future(asyncio.Event().wait()))
    tasks = list(subscriber.tasks)
    subscriber.leave()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert all(task.cancelled() for task in tasks)
    await turn()
    assert subscriber.tasks == set()


def hold(subscriber, payload):
    message = Outgoing(b"t", payload, 0, b"", 0)
    subscriber.hold(message, PLAIN, Position("s", 0, 0, 0))


async def test_what_is_held_is_written_when_the_socket_takes_bytes_again(make):
    subscriber = make()
    subscriber.clog()
    hold(subscriber, b"first")
    hold(subscriber, b"second")
    assert subscriber.written == []
    subscriber.unclog()
    (written,) = subscriber.written
    assert written.index(b"first") < written.index(b"second")
    subscriber.unclog()
    assert len(subscriber.written) == 1


@pytest.mark.parametrize("seed", range(10))
async def test_the_newest_messages_are_held_and_the_others_counted(make, seed):
    rng = random.Random(seed)
    subscriber = make(held_bytes_max=1_000)
    subscriber.clog()
    payloads = [b"%03d" % number + b"x" * rng.randrange(300) for number in range(60)]
    for payload in payloads:
        hold(subscriber, payload)
    sizes = [len(Outgoing(b"t", one, 0, b"", 0).parts(5, 0, b"")[0]) for one in payloads]
    kept = 0
    while sum(sizes[len(sizes) - kept - 1 :]) <= 1_000:
        kept += 1
    assert subscriber.delivery.dropped == 60 - kept
    subscriber.unclog()
    written = b"".join(subscriber.written)
    assert written.endswith(payloads[-1])
    assert [one for one in payloads if one in written][-kept:] == payloads[60 - kept :]
    assert len(written) == sum(sizes[60 - kept :])


async def test_a_message_larger_than_what_may_be_held_is_dropped(make):
    subscriber = make(held_bytes_max=100)
    subscriber.clog()
    hold(subscriber, b"x" * 200)
    assert subscriber.delivery.dropped == 1
    subscriber.unclog()
    assert subscriber.written == []
