"""What every engine promises about groups: shared partitions, leases, dead letters."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from gateway.clock import ManualClock
from gateway.errors import GroupRefused, MemberFenced, OffsetOutOfRange, UnknownStream
from gateway.store import Put, StreamSpec
from gateway.store.groups.desk import GroupDesk, Wish
from gateway.store.groups.letters import read_letter
from gateway.store.groups.member import SharingMember
from gateway.store.groups.redrive import RedriveWish, redrive
from gateway.store.groups.work import GiveBack, WorkWish
from tests.gateway.store.building import STREAM, a_run, everything, numbered, payloads_of
from tests.harness.waiting import until

SESSION_MS = 3000


async def fill(log, count=4):
    """So many records in each of three partitions, one commit each."""
    for partition in range(3):
        await log.append([numbered(100 * partition, count, partition=partition)])


async def join(log, desk, name="", group="g", **settings):
    return await SharingMember.join(log, desk, Wish(group, [STREAM], name, **settings))


async def read_all(member, count):
    batches = []
    while sum(batch.count for batch in batches) < count:
        batches += await member.poll()
    return sorted(int(payload) for payload in payloads_of(batches))


async def pass_time(clock, ms, *members):
    """Let time pass in steps; these members give signs of life."""
    for _ in range(ms // 500):
        clock.advance(500)
        for member in members:
            await member.beat()


def held(member):
    return sorted(member.positions)


class GroupContract:
    """Subclasses bring `store`; the desk stands on it with a clock that is driven by hand."""

    @pytest.fixture
    def clock(self):
        return ManualClock()

    @pytest.fixture
    def desk(self, log, clock):
        return GroupDesk(log, clock)

    async def test_a_member_alone_reads_every_partition_once(self, log, desk):
        await fill(log)
        member = await join(log, desk)
        assert await read_all(member, 12) == sorted([*range(4), *range(100, 104), *range(200, 204)])
        assert len(held(member)) == 3
        await member.close()

    async def test_a_member_that_joins_gets_its_share_when_others_let_go(self, log, desk):
        await fill(log)
        first = await join(log, desk)
        batches = await first.poll(records_max=2)
        second = await join(log, desk)
        await first.beat()
        assert first.is_asked_to_release
        ends = {(batch.stream, batch.partition): batch.next_offset for batch in batches}
        await first.commit(offsets=ends)
        await log.append([numbered(50, 1, partition=partition) for partition in range(3)])
        await first.poll()
        await second.beat()
        await second.poll()
        assert sorted(held(first) + held(second)) == [(STREAM, number) for number in range(3)]
        assert abs(len(held(first)) - len(held(second))) == 1
        await first.close()
        await second.close()

    async def test_partitions_of_a_dead_member_move_and_nothing_is_lost(self, log, desk, clock):
        first = await join(log, desk)
        second = await join(log, desk)
        await pass_time(clock, SESSION_MS, first, second)
        await fill(log)
        polled = await second.poll()
        await second.die()
        await pass_time(clock, SESSION_MS, first)
        seen = await read_all(first, 12)
        assert seen == sorted([*range(4), *range(100, 104), *range(200, 204)])
        with pytest.raises(MemberFenced):
            await second.commit(
                offsets={(own.stream, own.partition): own.next_offset for own in polled},
                state=[Put("t", "k", b"stale")],
            )
        assert await log.table("t").get("k") is None
        await first.close()

    async def test_a_step_of_the_wall_clock_fences_nobody_and_spares_nobody(self, log, desk, clock):
        first, second = await join(log, desk), await join(log, desk)
        await pass_time(clock, SESSION_MS, first, second)
        clock.step(10**9)
        await first.beat()
        await second.beat()
        clock.step(-(10**10))
        await second.die()
        await pass_time(clock, SESSION_MS, first)
        with pytest.raises(MemberFenced):
            await second.beat()
        await first.close()

    async def test_a_commit_for_a_partition_of_another_writes_nothing(self, log, desk, clock):
        await fill(log)
        first = await join(log, desk)
        await first.poll()
        second = await join(log, desk)
        await pass_time(clock, SESSION_MS + 500, first, second)
        everywhere = {(STREAM, partition): 1 for partition in range(3)}
        with pytest.raises(MemberFenced, match="belongs to another member"):
            await first.commit(offsets=everywhere, outputs=[a_run(b"x")])
        assert len(await everything(log)) == 4
        (group,) = await log.groups()
        assert set(group.offsets.values()) == {0}
        await first.close()
        await second.close()

    async def test_offsets_state_and_outputs_are_one_commit(self, log, desk):
        await fill(log)
        member = await join(log, desk)
        appended = await member.commit(
            offsets={(STREAM, 0): 2},
            outputs=[a_run(b"x", partition=1)],
            state=[Put("t", "k", b"1")],
        )
        assert len(appended.base_offsets) == 1
        assert await log.table("t").get("k") == b"1"
        await member.close()
        again = await join(log, desk)
        assert (await again.poll())[0].base_offset == 2
        await again.close()

    async def test_a_named_member_that_returns_in_time_has_its_partitions_back(
        self, log, desk, clock
    ):
        first, second = await join(log, desk, "a"), await join(log, desk, "b")
        await pass_time(clock, SESSION_MS, first, second)
        await first.beat()
        before = first._share.held, second._share.held
        desk.lose(second._member)
        await second.die()
        again = await join(log, desk, "b")
        await first.beat()
        assert (first._share.held, again._share.held) == before
        with pytest.raises(MemberFenced, match="join again"):
            await second.beat()
        await first.close()
        await again.close()

    async def test_names_and_offsets_outlast_the_desk(self, log, desk, clock):
        first, second = await join(log, desk, "a"), await join(log, desk, "b")
        await pass_time(clock, SESSION_MS, first, second)
        await second.beat()
        before = second._share.held
        key = min(before)
        await fill(log)
        await second.commit(offsets={key: 2})
        await first.die()
        await second.die()
        other = GroupDesk(log, clock)
        again = await join(log, other, "a")
        returned = await join(log, other, "b")
        await pass_time(clock, SESSION_MS + 500, again, returned)
        assert returned._share.held == before
        await returned._settle_share()
        assert returned.positions[key] == 2
        await again.close()
        await returned.close()

    async def test_a_group_that_starts_at_the_end_keeps_that_start(self, log, desk):
        await fill(log)
        first = await join(log, desk, start="latest")
        await first.close()
        await log.append([numbered(7, 1)])
        second = await join(log, desk)
        assert payloads_of(await second.poll()) == [b"7"]
        await second.close()

    async def test_a_member_learns_what_retention_took_from_its_group(self, log, desk):
        member = await join(log, desk)
        await member.close()
        for number in range(40):
            await log.append([a_run(b"x" * 2000, b"%d" % number)])
        await log.ensure(StreamSpec(STREAM, 3, retention_count=3))
        while await log.retain_step():
            pass
        again = await join(log, desk)
        await again.poll()
        start, _ = await log.bounds(STREAM, 0)
        assert [tuple(gap) for gap in again.gaps] == [(STREAM, 0, 0, start, "removed")]
        await again.close()

    async def test_polling_may_be_given_up_and_loses_nothing(self, log, desk):
        member = await join(log, desk)
        polling = asyncio.ensure_future(member.poll())
        await until(lambda: held(member), "the partitions")
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)
        await fill(log)
        assert len(await read_all(member, 12)) == 12
        await member.close()

    async def test_what_a_group_can_not_be_asked(self, log, desk):
        await fill(log)
        await log.ensure(StreamSpec("other", 1))
        with pytest.raises(GroupRefused, match="'rules' is the gateway's own"):
            await join(log, desk, group="rules")
        await log.join("evaluation", [STREAM]).commit(offsets={(STREAM, 0): 1})
        with pytest.raises(GroupRefused, match="'evaluation' is the gateway's own"):
            await join(log, desk, group="evaluation")
        with pytest.raises(GroupRefused, match="1 to 200 printable"):
            await join(log, desk, group="")
        with pytest.raises(UnknownStream, match="nope"):
            await SharingMember.join(log, desk, Wish("g", ["nope"]))
        member = await join(log, desk)
        with pytest.raises(GroupRefused, match="reads telemetry at present, not other"):
            await SharingMember.join(log, desk, Wish("g", ["other"]))
        with pytest.raises(GroupRefused, match="is used by 'penstock streams read --group'"):
            await desk.work.lease(WorkWish("g", STREAM, "w"))
        await member.close()

    async def test_a_group_of_another_version_is_refused_until_it_is_deleted(self, log, desk):
        await log.commit_group("g", 1, offsets={(STREAM, 0): 0})
        await log.table("groups").put("g", b'{"version": 2, "kind": "astral"}')
        with pytest.raises(GroupRefused, match="in use by another version"):
            await join(log, desk)
        await log.table("groups").put("g", b"[]")
        with pytest.raises(GroupRefused, match="can't be read"):
            await join(log, desk)
        await desk.delete("g")
        member = await join(log, desk)
        await member.close()

    async def test_seeking_moves_an_idle_group_and_no_other(self, log, desk):
        await fill(log)
        member = await join(log, desk)
        _, end = await log.bounds(STREAM, 0)
        with pytest.raises(GroupRefused, match="while it has members"):
            await desk.seek("g", {(STREAM, 0): 1})
        await member.close()
        with pytest.raises(OffsetOutOfRange, match=f"from @0 to @{end}, not from @99"):
            await desk.seek("g", {(STREAM, 0): 99})
        with pytest.raises(GroupRefused, match="no group 'h'; there are: g"):
            await desk.seek("h", {})
        with pytest.raises(GroupRefused, match="reads telemetry, not other"):
            await desk.seek("g", {("other", 0): 0})
        await desk.seek("g", {(STREAM, 0): 3})
        again = await join(log, desk)
        assert (await again.poll())[0].base_offset == 3
        await again.close()

    async def test_a_deleted_group_begins_anew(self, log, desk):
        await fill(log)
        member = await join(log, desk)
        await member.commit(offsets={(STREAM, 0): 4})
        with pytest.raises(GroupRefused, match="can't delete group 'g' while it has members"):
            await desk.delete("g")
        await member.close()
        await desk.delete("g")
        assert await log.groups() == []
        with pytest.raises(GroupRefused, match="no group 'g'"):
            await desk.delete("g")
        with pytest.raises(GroupRefused, match="gateway's own"):
            await desk.delete("rules")
        again = await join(log, desk)
        assert len(await read_all(again, 12)) == 12
        await again.close()


class WorkContract(GroupContract):
    """Competing consumers."""

    @pytest.fixture
    def lease(self, desk):
        async def lease(worker="w", records_max=1, **settings):
            return (await desk.work.lease(WorkWish("g", STREAM, worker, records_max, **settings)))[
                0
            ]

        return lease

    async def test_every_record_goes_to_one_worker(self, log, desk, lease):
        await fill(log)
        leased = [own for worker in "abcd" for own in await lease(worker, 3)]
        numbers = sorted(int(own.record.payload) for own in leased)
        assert numbers == sorted([*range(4), *range(100, 104), *range(200, 204)])
        assert {own.ticket.deliveries for own in leased} == {1}
        assert await lease() == []

    async def test_an_expired_lease_is_redelivered_and_a_late_ack_is_ignored(
        self, log, desk, clock, lease
    ):
        await log.append([numbered(0, 1)])
        (first,) = await lease("a", lease_ms=1000)
        clock.advance(1000)
        assert await desk.work.ack("g", "a", [first.ticket]) == [False]
        (second,) = await lease("b")
        assert (second.record, second.ticket.deliveries) == (first.record, 2)
        assert await desk.work.ack("g", "a", [first.ticket]) == [False]
        assert not await desk.work.nack("g", "a", first.ticket, GiveBack("late"))
        assert not await desk.work.extend("g", "a", first.ticket, 1000)
        assert await desk.work.ack("g", "b", [second.ticket]) == [True]
        assert await desk.work.ack("g", "b", [second.ticket]) == [False]
        assert await lease() == []

    async def test_an_extended_lease_holds(self, log, desk, clock, lease):
        await log.append([numbered(0, 1)])
        (own,) = await lease("a", lease_ms=1000)
        clock.advance(900)
        assert await desk.work.extend("g", "a", own.ticket, 1000)
        clock.advance(900)
        assert await lease("b") == []
        assert await desk.work.ack("g", "a", [own.ticket]) == [True]

    async def test_a_record_given_back_waits_for_its_delay(self, log, desk, clock, lease):
        await log.append([numbered(0, 1)])
        (own,) = await lease()
        assert await desk.work.nack("g", "w", own.ticket, GiveBack("exit 1", delay_ms=500))
        clock.advance(499)
        assert await lease() == []
        clock.advance(1)
        assert [again.ticket.deliveries for again in await lease()] == [2]

    async def test_acks_in_any_order_and_after_a_restart(self, log, desk, clock, lease):
        await log.append([numbered(0, 6)])
        leased = await lease("w", 6)
        done = [leased[number].ticket for number in (4, 0, 2)]
        assert await desk.work.ack("g", "w", done) == [True] * 3
        (group,) = await log.groups()
        assert group.offsets[STREAM, 0] == leased[1].record.offset
        again = GroupDesk(log, clock)
        assert await again.work.ack("g", "w", [leased[1].ticket]) == [False]
        left = (await again.work.lease(WorkWish("g", STREAM, "w", 9))).leased
        assert [(int(own.record.payload), own.ticket.deliveries) for own in left] == [
            (1, 2),
            (3, 2),
            (5, 2),
        ]
        await again.work.ack("g", "w", [own.ticket for own in left])
        (group,) = await log.groups()
        assert group.offsets[STREAM, 0] > leased[-1].record.offset

    async def test_after_its_last_delivery_a_record_is_a_dead_letter(self, log, desk, clock, lease):
        await log.append([a_run(b"\xff bad", partition=1)])
        (own,) = await lease("a", deliveries_max=2)
        await desk.work.nack("g", "a", own.ticket, GiveBack("exit 1"))
        (own,) = await lease("b", deliveries_max=2, lease_ms=1000)
        clock.advance(1000)
        assert await lease("c", deliveries_max=2) == []
        (letter,) = await everything(log, "dead-letters")
        record, failure = read_letter(letter)
        assert record == own.record
        assert failure == ("the lease of 'b' expired", "g", "b", 2)
        (group,) = await log.groups()
        assert group.offsets[STREAM, 1] == own.record.offset + 1
        assert orjson.loads(letter.payload)["cause"] == "the lease of 'b' expired"

    async def test_a_dead_letter_goes_back_once(self, log, desk, clock, lease):
        await log.append([a_run(b"bad", partition=1)])
        (own,) = await lease(deliveries_max=1)
        await desk.work.nack("g", "w", own.ticket, GiveBack("exit 7"))
        assert await redrive(log, clock, RedriveWish(stream="other")) == (0, 0)
        assert await redrive(log, clock, RedriveWish(cause="exit 8")) == (0, 0)
        assert await redrive(log, clock, RedriveWish(STREAM, "exit", 5)) == (1, 0)
        assert await redrive(log, clock, RedriveWish()) == (0, 1)
        (again,) = await lease()
        assert again.record.partition == 1
        assert (again.record.payload, again.ticket.deliveries) == (b"bad", 1)
        assert again.record.topic == own.record.topic
        assert await redrive(log, clock, RedriveWish(is_again=True)) == (1, 0)

    async def test_what_is_out_is_bounded(self, log, clock):
        await log.append([numbered(0, 1500)])
        desk = GroupDesk(log, clock)
        first = (await desk.work.lease(WorkWish("g", STREAM, "a", 2000))).leased
        assert len(first) == desk.options.leased_max
        assert (await desk.work.lease(WorkWish("g", STREAM, "b", 10))).leased == []
        await desk.work.ack("g", "a", [first[7].ticket])
        (next_one,) = (await desk.work.lease(WorkWish("g", STREAM, "b", 10))).leased
        assert int(next_one.record.payload) == 1000

    async def test_a_worker_learns_what_retention_took(self, log, desk, clock, lease):
        await log.append([numbered(0, 1)])
        (own,) = await lease(lease_ms=1000)
        for number in range(1, 9):
            await log.append([numbered(number, 1)])
        await log.ensure(StreamSpec(STREAM, 3, retention_count=2))
        while await log.retain_step():
            pass
        clock.advance(1000)
        start, _ = await log.bounds(STREAM, 0)
        leased, gaps = await desk.work.lease(WorkWish("g", STREAM, "w", 9))
        assert [int(each.record.payload) for each in leased] == [7, 8]
        assert [gap[2:] for gap in gaps] == [
            (0, 1, "removed"),
            (own.record.offset + 1, start, "removed"),
        ]
        await desk.work.ack("g", "w", [each.ticket for each in leased])

    async def test_a_group_at_work_is_not_moved_or_read(self, log, desk, clock, lease):
        await fill(log)
        await lease("w")
        for refused in (desk.seek("g", {}), desk.delete("g")):
            with pytest.raises(GroupRefused, match="while it has members"):
                await refused
        with pytest.raises(GroupRefused, match="is used by 'penstock streams work'"):
            await join(log, desk)
        await log.ensure(StreamSpec("other", 1))
        with pytest.raises(GroupRefused, match="works on 'telemetry' at present"):
            await desk.work.lease(WorkWish("g", "other", "w"))
        assert [view.name for view in await desk.views()] == ["g"]
        clock.advance(60_000)
        await desk.seek("g", {(STREAM, 0): 2, (STREAM, 1): 4, (STREAM, 2): 4})
        leased = await lease("w", 9)
        assert [int(own.record.payload) for own in leased][:2] == [2, 3]
        assert {own.ticket.deliveries for own in leased} == {1}
