import asyncio

import pytest

from gateway.clock import SystemClock
from gateway.errors import GroupRefused, MemberFenced, StoreError, StoreUnavailable
from gateway.store import Put, StoreOptions, StreamSpec, open_store
from gateway.store.groups.desk import GroupDesk, Wish
from gateway.store.groups.host import DeskHost
from gateway.store.groups.member import SharingMember
from gateway.store.groups.redrive import RedriveWish
from gateway.store.groups.remote import RemoteDesk
from gateway.store.groups.work import GiveBack, WorkWish
from tests.gateway.store.building import STREAM, a_run, everything, numbered
from tests.harness.waiting import until

CLOCK = SystemClock()
WISH = Wish("g", [STREAM])


@pytest.fixture
async def log(tmp_path):
    # A path as long as they may get: the socket's own limit is near a hundred bytes.
    data_dir = tmp_path / ("d" * 100)
    store = await open_store(StoreOptions(data_dir), CLOCK)
    await store.ensure(StreamSpec(STREAM, 2))
    host = DeskHost(store, CLOCK, GroupDesk(store, CLOCK), data_dir)
    await host.start()
    store.data_dir, store.host = data_dir, host
    yield store
    await host.stop()
    await store.close()


@pytest.fixture
async def desk(log):
    desk = await RemoteDesk.connect(log.data_dir)
    yield desk
    await desk.close()


async def test_partitions_of_a_broken_connection_move_at_once(log, desk):
    gone = await RemoteDesk.connect(log.data_dir)
    await SharingMember.join(log, gone, WISH)
    member = await SharingMember.join(log, desk, WISH)
    await gone.close()

    async def has_both():
        await member.beat()
        return len(member._share.held) == 2

    await until(has_both, "both partitions")
    await member.close()


async def test_errors_come_over_as_what_they_are(log, desk):
    with pytest.raises(GroupRefused, match="gateway's own"):
        await desk.join(WISH._replace(group="rules"))
    with pytest.raises(MemberFenced):
        await desk.beat("nobody")
    with pytest.raises(StoreError, match="own process only"):
        await desk.commit("m", {}, state=[Put("t", "k", None)])
    with pytest.raises(StoreError, match="doesn't know how to 'fly'"):
        await desk._call("fly")
    with pytest.raises(StoreError, match="called with what it can't use"):
        await desk._call("beat", 1, 2, 3)


async def test_work_goes_over_the_socket(log, desk):
    await log.append([a_run(b"\xff", b"1")])
    leased, gaps = await desk.lease(WorkWish("w", STREAM, "me", 2, deliveries_max=1))
    assert [own.record.payload for own in leased] == [b"\xff", b"1"]
    assert gaps == []
    first, second = (own.ticket for own in leased)
    assert await desk.extend("w", "me", first, 1000)
    assert await desk.ack("w", "me", [first]) == [True]
    with pytest.raises(GroupRefused):
        await desk.delete("w")
    assert await desk.nack("w", "me", second, GiveBack("exit 1"))
    assert len(await everything(log, "dead-letters")) == 1
    assert await desk.redrive(RedriveWish(STREAM)) == (1, 0)
    await desk.seek("w", {(STREAM, 0): 0})
    await desk.delete("w")
    assert await desk.views() == []


async def test_whoever_waits_is_told_when_the_desk_stops(log, desk):
    await log.append([numbered(0, 1)])
    member = await SharingMember.join(log, desk, WISH)
    await log.host.stop()
    with pytest.raises(StoreUnavailable):
        await member.beat()
    with pytest.raises(StoreUnavailable):
        await member.beat()
    await member.close()
    assert await RemoteDesk.connect(log.data_dir) is None


async def test_nonsense_on_the_socket_ends_that_connection_alone(log, desk):
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"\x01\0\0\0\xc1", b"\x01\0\0\0\x05"):
        other = await RemoteDesk.connect(log.data_dir)
        other._writer.write(nonsense)
        await asyncio.gather(other._listening)
        await other.close()
    assert await desk.views() == []
