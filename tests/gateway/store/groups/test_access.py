import asyncio

import pytest

from gateway.clock import SystemClock
from gateway.errors import StoreInUse
from gateway.store import StoreOptions, StreamSpec, open_reader, open_store
from gateway.store.groups.access import desk_of, hosted, open_in_turn
from gateway.store.groups.desk import Wish
from gateway.store.groups.member import SharingMember
from tests.gateway.store.building import STREAM, numbered, payloads_of
from tests.harness.waiting import until

CLOCK = SystemClock()


@pytest.fixture
async def log(tmp_path):
    store = await open_store(StoreOptions(tmp_path), CLOCK)
    await store.ensure(StreamSpec(STREAM, 2))
    await store.append([numbered(0, 3)])
    await store.close()
    return tmp_path


async def test_the_first_comer_opens_a_desk_and_others_share_it(log):
    reader = await open_reader(log)
    async with desk_of(log, CLOCK) as first, desk_of(log, CLOCK) as second:
        member = await SharingMember.join(reader, first.desk, Wish("g", [STREAM]))
        assert payloads_of(await member.poll()) == [b"0", b"1", b"2"]
        await member.commit(offsets={(STREAM, 0): 2})
        (view,) = await second.desk.views()
        assert (view.name, len(view.members)) == ("g", 1)
        await member.close()
    await reader.close()
    reader = await open_reader(log)
    assert (await reader.groups())[0].offsets[STREAM, 0] == 2
    await reader.close()


async def test_a_gateway_gets_the_directory_from_a_command(log):
    async def hold():
        async with hosted(log, CLOCK) as host:
            await host.yielding.wait()

    holding = asyncio.create_task(hold())
    await until(lambda: (log / "penstock.sock").exists(), "the desk")
    store = await open_in_turn(StoreOptions(log), CLOCK)
    await holding
    await store.close()
    assert not (log / "penstock.sock").exists()


async def test_a_gateway_makes_way_for_nobody(log):
    async with hosted(log, CLOCK) as host:
        host.is_lasting = True
        with pytest.raises(StoreInUse):
            await open_in_turn(StoreOptions(log), CLOCK)
        assert not host.yielding.is_set()


async def test_who_can_not_be_reached_is_in_the_way(log, monkeypatch):
    monkeypatch.setattr("gateway.store.groups.access.PATIENCE_S", 0.1)
    store = await open_store(StoreOptions(log), CLOCK)
    with pytest.raises(StoreInUse, match="can't be reached"):
        async with desk_of(log, CLOCK):
            pass
    with pytest.raises(StoreInUse):
        await open_in_turn(StoreOptions(log), CLOCK)
    await store.close()
