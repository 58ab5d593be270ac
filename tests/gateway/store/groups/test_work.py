import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable
from gateway.store import Put, StreamSpec
from gateway.store.groups.desk import GroupDesk
from gateway.store.groups.letters import Failure, read_letter
from gateway.store.groups.work import GiveBack, Settlement, WorkWish
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


async def test_records_that_are_not_wanted_are_stepped_over_without_a_commit(log, desk):
    await log.append([numbered(0, 50)])
    wish = WorkWish("g", STREAM, "w", 3)

    async def lease():
        return [
            int(own.record.payload)
            for own in (await desk.work.lease(wish, lambda one: one.offset % 10 == 9)).leased
        ]

    assert await lease() == [9, 19, 29]
    assert desk.work.is_behind("g")
    assert await lease() == [39, 49]
    assert await lease() == []
    assert not desk.work.is_behind("g")


async def test_how_far_a_group_has_looked_is_kept_when_it_rests(log, desk):
    wish = WorkWish("g", STREAM, "w")
    await desk.work.rest("g")
    await desk.work.found(wish)
    await log.append([numbered(0, 50)])
    await desk.work.lease(wish, lambda _: False)
    assert desk.offsets("g")[STREAM, 0] == 0
    await desk.work.rest("g")
    assert desk.offsets("g")[STREAM, 0] == 50
    (group,) = await log.groups()
    assert group.offsets[STREAM, 0] == 50


async def test_what_comes_of_a_record_is_kept_with_it_or_not_at_all(log, desk):
    await log.append([numbered(0, 2)])
    (first, second) = (await desk.work.lease(WorkWish("g", STREAM, "w", 2))).leased
    expired = second.ticket._replace(deliveries=9)
    output = a_run(b"out", partition=2)
    settlements = [
        Settlement(first.ticket, [output], [Put("t", "first", b"1")]),
        Settlement(expired, [output], [Put("t", "second", b"1")]),
    ]
    assert await desk.work.settle("g", "w", settlements) == [True, False]
    assert await desk.work.settle("nobody", "w", settlements) == [False, False]
    assert (await log.bounds(STREAM, 2)).log_end_offset == 1
    assert [key for key, _ in await log.table("t").items()] == ["first"]


async def test_a_final_give_back_is_a_dead_letter_with_who_failed_and_how_often(log, desk):
    await log.append([a_run(b"bad")])
    (own,) = (await desk.work.lease(WorkWish("g", STREAM, "w"))).leased
    back = GiveBack("boom", is_final=True, failed_by="w 1.2", tries=4)
    assert await desk.work.nack("g", "w", own.ticket, back)
    (letter,) = [read_letter(one) for one in await everything(log, "dead-letters")]
    assert letter.failure == Failure("boom", "g", "w 1.2", 4)
