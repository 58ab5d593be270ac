from __future__ import annotations

import pytest

from gateway.clock import ManualClock
from gateway.mqtt import Disconnect, Properties, Will
from gateway.server.sessions import TABLE, Sessions
from gateway.session import Grant, SessionState, decode_state
from gateway.store.memory import MemoryStore
from tests.gateway.server.conftest import Client, kept, stored, turn
from tests.harness.waiting import until

HERE = {("power", 0): 7}


class Ingest:
    """Writes what it is given at once, and remembers the wills."""

    def __init__(self):
        self.table = {}
        self.wills = []
        self.write_state = None

    def save(self, state, on_durable=None):
        put = self.write_state(state, [])
        self.table[put.key] = put.value
        if on_durable is not None:
            on_durable()

    def submit_puts(self, puts):
        for put in puts:
            self.table.pop(put.key, None)

    def submit_will(self, client_id, will, state=None):
        self.wills.append((client_id, will.payload, state is not None))


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def ingest():
    return Ingest()


@pytest.fixture
def sessions(clock, ingest):
    return Sessions(clock, ingest, lambda _: None, lambda _: HERE)


def will(delay_s):
    return Will("t", b"bye", properties=Properties(will_delay_interval_s=delay_s))


def test_a_state_is_handed_out_once(sessions):
    state = SessionState("c", 1_000)
    sessions.put(state)
    assert len(sessions) == 1
    assert sessions.take("c") is state
    assert sessions.take("c") is None
    assert sessions.expire() == []


def test_a_state_is_on_disk_with_where_its_client_stands(sessions, ingest):
    sessions.put(SessionState("c", 1_000, {"a": Grant("a", 1)}))
    found = decode_state("c", ingest.table["c"])
    assert (found.positions, list(found.grants_by_filter)) == (HERE, ["a"])


def test_a_state_that_is_kept_for_ever_never_expires(sessions, clock):
    sessions.put(SessionState("c", None))
    clock.advance(10**15)
    assert (sessions.expire(), len(sessions)) == ([], 1)


def test_an_expired_state_is_told_and_forgotten(sessions, clock, ingest):
    state = SessionState("c", 1_000)
    sessions.put(state)
    clock.advance(999)
    assert sessions.expire() == []
    clock.advance(1)
    assert sessions.expire() == [state]
    assert (ingest.table, len(sessions), state.is_kept) == ({}, 0, False)


def test_a_delayed_will_is_published_once_when_it_is_due(sessions, clock, ingest):
    sessions.put(SessionState("c", 60_000, will=will(10)))
    clock.advance(9_999)
    sessions.expire()
    assert ingest.wills == []
    clock.advance(1)
    sessions.expire()
    sessions.expire()
    clock.advance(100_000)
    sessions.expire()
    assert ingest.wills == [("c", b"bye", True)]


def test_a_will_is_published_at_the_end_of_its_session_at_the_latest(sessions, clock, ingest):
    sessions.put(SessionState("c", 5_000, will=will(10)))
    clock.advance(5_000)
    sessions.expire()
    assert ingest.wills == [("c", b"bye", False)]


def test_a_will_whose_delay_is_over_is_published_though_the_client_is_back(sessions, clock, ingest):
    sessions.put(SessionState("c", 60_000, will=will(10)))
    clock.advance(9_999)
    assert sessions.take("c").will is not None
    sessions.put(SessionState("c", 60_000, will=will(10)))
    clock.advance(10_000)
    assert sessions.take("c").will is None
    assert ingest.wills == [("c", b"bye", True)]


@pytest.mark.spec("MQTT5-4.1.0-2")
async def test_a_session_whose_time_is_over_is_gone_before_the_sweep(edge, clock):
    server = await edge(clock=clock)
    for waited_ms, is_present in ((59_999, True), (60_000, False)):
        client = Client(server)
        client.connect("c", **kept(60))
        client.lose()
        clock.advance(waited_ms)
        client = Client(server)
        assert client.connect("c", **kept(60)).session_present is is_present
        client.lose()


def test_saving_waits_only_for_a_state_that_is_kept(sessions, ingest):
    done = []
    sessions.save(SessionState("kept", 1_000), lambda: done.append("kept"))
    sessions.save(SessionState("brief", 0), lambda: done.append("brief"))
    assert done == ["kept", "brief"]
    assert list(ingest.table) == ["kept"]


def test_what_was_never_saved_need_not_be_forgotten(sessions, ingest):
    ingest.table["c"] = b"another's"
    sessions.forget("c")
    assert ingest.table == {"c": b"another's"}


async def test_states_of_an_earlier_run_are_read_back(sessions, clock, ingest):
    sessions.put(SessionState("c", 5_000, will=will(60)))
    store = MemoryStore()
    for key, value in ingest.table.items():
        await store.table(TABLE).put(key, value)
    again = Sessions(clock, Ingest(), lambda _: None, lambda _: HERE)
    (state,) = await again.load(store)
    assert (state.client_id, state.will, len(again)) == ("c", will(60), 1)
    clock.advance(5_000)
    assert again.expire() == [state]


async def test_a_state_that_can_not_be_read_is_stepped_over(sessions):
    store = MemoryStore()
    await store.table(TABLE).put("broken", b"\xff")
    assert await sessions.load(store) == []


# Through the whole server


async def test_a_will_is_published_when_a_connection_breaks(edge):
    server = await edge()
    client = Client(server)
    client.connect("c", will=Will("power/gone", b"bye"))
    client.lose()
    await until(lambda: stored(server), "the will")
    assert stored(server) == [b"bye"]


async def test_a_delayed_will_waits_and_is_dropped_when_the_client_is_back(edge, clock):
    server = await edge(clock=clock)
    will = Will("power/gone", b"bye", properties=Properties(will_delay_interval_s=10))
    for seconds_away, is_published in [(9, False), (10, True)]:
        client = Client(server)
        client.connect("c", **kept(60, will=will))
        client.lose()
        clock.advance(seconds_away * 1_000)
        server.hub.sweep()
        back = Client(server)
        back.connect("c", **kept(60))
        back.send(Disconnect())
        clock.advance(60_000)
        server.hub.sweep()
        await server.ingest.drain()
        assert (stored(server) == [b"bye"]) == is_published
        await turn(3)


@pytest.mark.spec("MQTT5-3.1.3-9")
async def test_a_delayed_will_is_published_when_its_session_ends(edge, clock):
    server = await edge(clock=clock)
    will = Will("power/gone", b"bye", properties=Properties(will_delay_interval_s=1_000))
    client = Client(server)
    client.connect("c", **kept(5, will=will))
    client.lose()
    clock.advance(5_000)
    server.hub.sweep()
    await server.ingest.drain()
    assert stored(server) == [b"bye"]
