from __future__ import annotations

import pytest

from gateway.clock import ManualClock
from gateway.errors import ChangeRefused, RequestUnknown, StoreError
from gateway.events import Origin, Run
from gateway.store.groups.changes import CHANGES_MAX, MANY, Change, TableDesk
from gateway.store.groups.desk import GroupDesk
from gateway.store.groups.host import DeskHost
from gateway.store.groups.remote import RemoteDesk
from gateway.store.memory import MemoryStore
from gateway.store.protocol import StreamSpec


async def test_a_change_is_made_when_it_finds_what_it_expects():
    store = MemoryStore()
    desk = TableDesk(store)
    await desk.change([Change("devices", "a", b"1", None)])
    await desk.change([Change("devices", "a", b"2", b"1"), Change("devices", "b", b"1", None)])
    assert await store.entries("devices") == [("a", b"2"), ("b", b"1")]
    await desk.change([Change("devices", "a", None, b"2")])
    assert await store.entries("devices") == [("b", b"1")]


async def test_a_change_that_finds_something_else_changes_nothing():
    store = MemoryStore()
    desk = TableDesk(store)
    await desk.change([Change("devices", "a", b"1", None)])
    for before in (None, b"2"):
        with pytest.raises(ChangeRefused, match="'a' was changed by somebody else"):
            await desk.change([Change("t", "b", b"1", None), Change("devices", "a", b"3", before)])
    assert await store.entries("t") == []
    assert await store.entries("devices") == [("a", b"1")]


async def test_who_watches_a_table_hears_of_its_changes_alone():
    desk = TableDesk(MemoryStore())
    heard = []
    desk.watch("devices", heard.append)
    own = Change("devices", "a", b"1", None)
    await desk.change([own, Change("other", "a", b"1", None)])
    await desk.change([Change("other", "a", b"2", b"1")])
    assert heard == [[own]]


async def test_there_is_a_limit_to_how_much_changes_at_once():
    changes = [Change("t", str(number), b"", None) for number in range(CHANGES_MAX + 1)]
    with pytest.raises(StoreError, match="at most"):
        await TableDesk(MemoryStore()).change(changes)


@pytest.fixture
async def remote(tmp_path):
    """A host, and its desk as another process sees it."""
    store = MemoryStore()
    host = DeskHost(store, ManualClock(), GroupDesk(store, ManualClock()), tmp_path)
    await host.start()
    desk = await RemoteDesk.connect(tmp_path)
    yield host, desk
    await desk.close()
    await host.stop()


async def test_changes_come_over_the_socket(remote):
    host, desk = remote
    heard = []
    host.tables.watch("devices", heard.extend)
    change = Change("devices", "a", b"1", None)
    await desk.change([change])
    assert heard == [change]
    with pytest.raises(ChangeRefused):
        await desk.change([change])


async def test_a_request_is_answered_by_who_knows_how(remote):
    host, desk = remote

    async def double(number):
        return 2 * number

    with pytest.raises(RequestUnknown, match="no gateway runs on"):
        await desk.ask("double", 4)
    host.requests["double"] = double
    host.is_lasting = True
    assert await desk.ask("double", 4) == 8
    with pytest.raises(RequestUnknown, match="doesn't know how to 'halve'"):
        await desk.ask("halve", 4)


async def test_what_a_table_has_to_say_goes_into_the_log_with_the_change():
    store = MemoryStore()
    await store.ensure(StreamSpec("audit", partitions=1))
    desk = TableDesk(store)

    def write(changes, by):
        payloads = [f"{by}: {change.key}".encode() for change in changes]
        origins = [Origin("audit/x", "x")] * len(payloads)
        return [Run("audit", 0, "", 0, origins, payloads, bytes(len(payloads)))]

    desk.accompany("devices", write)
    await desk.change([Change("devices", "a", b"1", None), Change("t", "b", b"1", None)], "anna")
    chunk = await store.fetch("audit", 0, 0)
    records = [record for batch in chunk.batches for record in batch.records()]
    assert [record.payload for record in records] == [b"anna: a"]
    with pytest.raises(ChangeRefused):
        await desk.change([Change("devices", "a", b"1", None)], "anna")
    assert (await store.bounds("audit", 0)).log_end_offset == 1


async def test_many_changes_are_looked_up_at_once_and_none_is_overlooked():
    store = MemoryStore()
    desk = TableDesk(store)
    await desk.change([Change("t", "a150", b"1", None), Change("t", "b", b"1", None)])
    wanted = [Change("t", f"a{number}", b"2", None) for number in range(MANY + 100)]
    with pytest.raises(ChangeRefused, match="'a150'"):
        await desk.change(wanted)
    assert len(await store.entries("t")) == 2
    wanted[150] = Change("t", "a150", b"2", b"1")
    await desk.change(wanted)
    assert len(await store.entries("t")) == len(wanted) + 1
