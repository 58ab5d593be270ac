from __future__ import annotations

import asyncio

import pytest

from gateway.clock import ManualClock
from gateway.errors import MemberFenced
from gateway.store import Put, StoreOptions, StreamSpec, open_store
from gateway.store.sqlite import linked as linked_module
from tests.gateway.store.building import STREAM, everything, numbered, payloads_of
from tests.harness.links import linked
from tests.harness.waiting import until


@pytest.fixture
async def writer(tmp_path):
    store = await open_store(StoreOptions(tmp_path), ManualClock())
    await store.ensure(StreamSpec(STREAM, 3))
    yield store
    await store.close()


@pytest.fixture
async def own(writer):
    async with linked(writer) as own:
        yield own


@pytest.fixture
async def log(own, tmp_path):
    return await own.store(tmp_path)


async def test_the_writer_s_commits_wake_it(writer, log, own):
    tail = log.tail([STREAM], "latest")
    reading = asyncio.create_task(tail.next())
    await until(lambda: own.host._waiting, "the reader to wait")
    await writer.append([numbered(0, 2)])
    assert payloads_of(await reading) == [b"0", b"1"]


async def test_it_waits_when_nothing_came_for_it(writer, log, own):
    await writer.ensure(StreamSpec("other", 1))
    reading = asyncio.create_task(log.tail([STREAM], "latest").next())
    await until(lambda: own.host._waiting, "the reader to wait")
    for number in range(3):
        await writer.append([numbered(number, 1, stream="other")])
        await until(lambda: log.known_commit_no == writer.known_commit_no, "it to look")
    assert not reading.done()
    await writer.append([numbered(9, 1)])
    assert payloads_of(await reading) == [b"9"]


async def test_a_member_goes_on_where_its_group_has_committed(writer, log):
    await writer.append([numbered(0, 4)])
    first = log.join("g", [STREAM])
    assert payloads_of(await first.poll()) == [b"0", b"1", b"2", b"3"]
    assert first.gaps == []
    await first.commit(offsets={(STREAM, 0): 3}, state=[Put("t", "k", b"v")])
    await first.close()
    second = log.join("g", [STREAM])
    assert payloads_of(await second.poll()) == [b"3"]
    assert await log.table("t").get("k") == b"v"


async def test_a_member_is_refused_once_another_has_joined(writer, log):
    old, new = log.join("g", [STREAM]), log.join("g", [STREAM])
    await old.commit(outputs=[numbered(0, 1)])
    await new.commit(outputs=[numbered(1, 1)])
    with pytest.raises(MemberFenced):
        await old.commit(outputs=[numbered(2, 1)])
    assert [record.payload for record in await everything(log)] == [b"0", b"1"]


async def test_large_state_travels_in_parts_and_lands_as_one(writer, log, monkeypatch):
    monkeypatch.setattr(linked_module, "PUTS_AT_ONCE", 3)
    member = log.join("g", [STREAM])
    for count in (0, 1, 3, 4, 6, 7):
        puts = [Put(f"t{count}", f"{number}", b"%d" % number) for number in range(count)]
        before = writer.known_commit_no
        await member.commit(state=puts, outputs=[numbered(0, 1)])
        assert writer.known_commit_no == before + 1
        assert await log.table(f"t{count}").items() == [(put.key, put.value) for put in puts]


async def test_tables_are_read_and_changed(writer, log):
    table = log.table("t")
    await table.put("a", b"1")
    await table.put("b", b"2")
    await table.delete("a")
    assert await table.items() == await writer.table("t").items() == [("b", b"2")]
    assert await table.get("a") is None


async def test_a_file_that_was_put_in_the_place_of_another_is_read_anew(writer, log, own, tmp_path):
    path = tmp_path / "penstock.db"
    await writer.append([numbered(0, 1)])
    tail = log.tail([STREAM], "earliest")
    assert payloads_of(await tail.next()) == [b"0"]
    log._inode = -1
    before = log._connection._connection
    reading = asyncio.create_task(tail.next())
    await until(lambda: own.host._waiting, "the reader to wait")
    await writer.append([numbered(1, 1)])
    assert payloads_of(await reading) == [b"1"]
    assert log._connection._connection is not before
    assert log._inode == path.stat().st_ino


async def test_a_stream_is_made_by_the_writer(writer, log):
    await log.ensure(StreamSpec("derived", 1, retention_age_ms=5, durability="os"))
    assert await log.streams() == await writer.streams()
