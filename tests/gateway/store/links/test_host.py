from __future__ import annotations

import asyncio

import pytest

from gateway.errors import MemberFenced, StoreError, StreamMismatch
from gateway.events import Origin, Run
from gateway.store import Put, StreamSpec, read_told, tell
from gateway.store.groups.calls import frame
from gateway.store.links.columns import rows_of_runs
from gateway.store.memory import MemoryStore
from tests.harness.links import linked
from tests.harness.waiting import until

A_FRAME = frame("that never ends")


def run_of(*payloads):
    origins = [Origin("t", "d")] * len(payloads)
    return Run("s", 0, "c", 5, origins, list(payloads), bytes(len(payloads)))


async def payloads(store):
    chunk = await store.fetch("s", 0, 0)
    return [record.payload for batch in chunk.batches for record in batch.records()]


def changed_by(runs):
    """A table that changes with records, as that of retained messages does."""
    return [Put("of", "runs", run.payloads[0]) for run in runs]


async def a_store():
    store = MemoryStore()
    await store.ensure(StreamSpec("s", 1))
    return store


async def test_a_commit_carries_records_state_offsets_and_what_they_change():
    store = await a_store()
    async with linked(store, changed_by) as own:
        member = await own.link.call("join", "g", ["s"])
        own.link.tell("stage", member, [Put("t", "a", b"1")])
        rows = rows_of_runs([run_of(b"x")])
        commit_no, offsets = await own.link.call("commit", member, rows, [Put("t", "b", b"2")], [])
        assert (commit_no, list(offsets)) == (1, [0])
        await own.link.call("commit", member, [], [], [["s", 0, 1]])
    assert await payloads(store) == [b"x"]
    assert await store.entries("t") == [("a", b"1"), ("b", b"2")]
    assert await store.entry("of", "runs") == b"x"
    assert [one.offsets for one in await store.groups()] == [{("s", 0): 1}]


async def test_a_worker_that_was_superseded_is_refused():
    store = await a_store()
    async with linked(store) as first, linked(store) as second:
        old = await first.link.call("join", "g", ["s"])
        new = await second.link.call("join", "g", ["s"])
        with pytest.raises(MemberFenced):
            await first.link.call("commit", old, rows_of_runs([run_of(b"late")]), [], [])
        await second.link.call("commit", new, rows_of_runs([run_of(b"good")]), [], [["s", 0, 0]])
    assert await payloads(store) == [b"good"]


async def test_what_was_sent_before_a_worker_died_is_settled_when_its_host_ends():
    store = await a_store()
    async with linked(store) as own:
        member = await own.link.call("join", "g", ["s"])
        own.link._writer.write(
            frame([99, "commit", [member, rows_of_runs([run_of(b"x")]), [], []]])
        )
        own.link._writer.write(A_FRAME[:-1])
        own.link._writer.transport.close()
        await own.serving
        assert await payloads(store) == [b"x"]


async def test_what_was_staged_and_never_committed_is_forgotten():
    store = await a_store()
    async with linked(store) as own:
        member = await own.link.call("join", "g", ["s"])
        own.link.tell("stage", member, [Put("t", "a", b"1")])
        await own.link.call("leave", member)
        own.link.tell("stage", member, [Put("t", "a", b"1")])
        with pytest.raises(StoreError, match="can't use"):
            await own.link.call("commit", member, [], [], [])
    assert await store.entries("t") == []


async def test_waiting_ends_with_the_next_commit():
    store = await a_store()
    async with linked(store) as own:
        waiting = asyncio.create_task(own.link.call("wait", store.known_commit_no))
        await until(lambda: own.host._waiting, "the call to arrive")
        assert not waiting.done()
        await store.append([run_of(b"x")])
        assert await waiting == store.known_commit_no == 1
        assert await own.link.call("wait", 0) == 1


async def test_waiting_ends_in_any_case_after_a_while(monkeypatch):
    monkeypatch.setattr("gateway.store.links.host.WAIT_S_MAX", 0.01)
    store = await a_store()
    async with linked(store) as own:
        assert await own.link.call("wait", 0) == 0


async def test_a_worker_that_leaves_while_it_waits_leaves_nothing_behind():
    store = await a_store()
    async with linked(store) as own:
        waiting = asyncio.create_task(own.link.call("wait", 0))
        await until(lambda: own.host._waiting, "the call to arrive")
        await own.link.close()
        await own.serving
        assert not own.host._waiting
        with pytest.raises(StoreError):
            await waiting


async def test_errors_of_the_store_travel():
    store = await a_store()
    async with linked(store) as own:
        with pytest.raises(StreamMismatch):
            await own.link.call("ensure", ["s", 2])
        with pytest.raises(StoreError, match="can't use"):
            await own.link.call("no such call")
        with pytest.raises(StoreError, match="can't use"):
            await own.link.call("append", [[1]], [])


async def test_a_fault_of_the_gateway_itself_is_not_swallowed():
    store = await a_store()
    own = None
    with pytest.raises(ZeroDivisionError):
        async with linked(store, lambda runs: 1 // 0) as own:
            member = await own.link.call("join", "g", ["s"])
            with pytest.raises(StoreError):
                await own.link.call("commit", member, [], [], [])


async def test_nonsense_ends_the_visit():
    store = await a_store()
    async with linked(store) as own:
        own.link._writer.write(frame("nonsense"))
        await own.serving
        await own.link.ended


async def test_it_is_told_and_tells(monkeypatch):
    heard = asyncio.get_running_loop().create_future()
    async with linked(await a_store(), told={"news": heard.set_result}) as own:
        own.link.tell("news", 7)
        assert await heard == 7
        told = asyncio.get_running_loop().create_future()
        own.link.told["stop"] = lambda: told.set_result(True)
        own.host.tell("stop")
        assert await told


async def test_what_a_worker_tells_is_heard_before_it_is_served():
    reader = asyncio.StreamReader()
    reader.feed_data(frame([-1, "opened", [1]]) + frame([3, "join", []]))
    assert await read_told(reader) == ("opened", [1])
    with pytest.raises(ValueError, match="'join' before"):
        await read_told(reader)

    class Writer:
        def write(self, sent):
            self.sent = sent

    writer = Writer()
    tell(writer, "job", b"x")
    assert writer.sent == frame([-1, "job", [b"x"]])
