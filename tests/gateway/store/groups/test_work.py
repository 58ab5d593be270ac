import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable
from gateway.store import StreamSpec
from gateway.store.groups.desk import GroupDesk
from gateway.store.groups.work import GiveBack, WorkWish
from gateway.store.memory import MemoryStore
from tests.gateway.store.building import STREAM, a_run, everything, numbered


@pytest.fixture
async def log():
    store = MemoryStore()
    await store.ensure(StreamSpec(STREAM, 3))
    yield store
    await store.close()


@pytest.fixture
def desk(log):
    return GroupDesk(log, ManualClock())


async def test_who_never_leased_settles_nothing(desk):
    ticket = ("s", 0, 0, 1)
    assert await desk.work.ack("g", "w", [ticket, ticket]) == [False, False]
    assert not await desk.work.nack("g", "w", ticket, GiveBack("x"))
    assert not await desk.work.extend("g", "w", ticket, 1)


async def test_a_busy_partition_starves_no_other(log, desk):
    await log.append([numbered(0, 50)])
    await log.append([a_run(b"100", partition=2)])
    seen = [
        int(own.record.payload)
        for _ in range(4)
        for own in (await desk.work.lease(WorkWish("g", STREAM, "w"))).leased
    ]
    assert 100 in seen


async def test_a_dead_letter_that_is_not_written_settles_nothing(log, desk, monkeypatch):
    await log.append([a_run(b"bad")])
    (own,) = (await desk.work.lease(WorkWish("g", STREAM, "w", deliveries_max=1))).leased

    def refuse(*_, **__):
        raise StoreUnavailable("no")

    with monkeypatch.context() as patch:
        patch.setattr(log, "commit_group", refuse)
        with pytest.raises(StoreUnavailable):
            await desk.work.nack("g", "w", own.ticket, GiveBack("exit 1"))
    assert await desk.work.nack("g", "w", own.ticket, GiveBack("exit 1"))
    assert len(await everything(log, "dead-letters")) == 1


async def test_a_record_that_is_gone_is_settled_without_a_letter(log, desk):
    await log.append([a_run(b"bad")])
    (own,) = (await desk.work.lease(WorkWish("g", STREAM, "w", deliveries_max=1))).leased
    await log.ensure(StreamSpec(STREAM, 3, retention_count=0))
    while await log.retain_step():
        pass
    assert await desk.work.nack("g", "w", own.ticket, GiveBack("exit 1"))
    assert (await desk.work.lease(WorkWish("g", STREAM, "w"))).leased == []
