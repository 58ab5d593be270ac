"""The desk against a model: members that join, leave, die, commit, seek, while the log is cut."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.clock import ManualClock
from gateway.errors import GroupRefused, MemberFenced, OffsetOutOfRange
from gateway.store import StoreOptions, StreamSpec, open_store
from gateway.store.groups.desk import GroupDesk, Wish
from gateway.store.groups.member import SharingMember
from gateway.store.groups.options import GroupOptions
from gateway.store.memory import MemoryStore
from tests.gateway.store.building import STREAM, a_run, everything, records_of

PARTITIONS = 3
WISH = Wish("g", [STREAM])


async def poll_shortly(member):
    """What a poll returns at once; what is unread may have changed hands just now."""
    try:
        return await asyncio.wait_for(member.poll(records_max=3), 0.05)
    except TimeoutError:
        return ()


class Group(RuleBasedStateMachine):
    """One group; `seen` are the offsets that some member was given, or that it may miss."""

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.store = self.do(self.open_store())
        self.desk = GroupDesk(self.store, self.clock)
        self.members = []
        self.polled = {}
        self.seen = [set() for _ in range(PARTITIONS)]
        self.count = 0
        self.do(self.store.ensure(StreamSpec(STREAM, PARTITIONS)))

    async def open_store(self):
        return MemoryStore(hole=1)

    async def reopen(self):
        """What a restart of the gateway does to the store; this one forgets all, so nothing."""

    def do(self, coroutine):
        return self.runner.run(coroutine)

    def pick(self, data):
        return data.draw(st.sampled_from(self.members))

    def forget(self, member):
        self.members.remove(member)
        self.do(member.die())

    @rule(partition=st.integers(0, PARTITIONS - 1), size=st.integers(1, 4))
    def append(self, partition, size):
        async def append():
            await self.store.append([a_run(*[b"x"] * size, partition=partition)])

        self.do(append())

    @precondition(lambda self: len(self.members) < 4)
    @rule(name=st.sampled_from(["", "", "a", "b"]))
    def join(self, name):
        member = self.do(SharingMember.join(self.store, self.desk, WISH._replace(name=name)))
        self.members.append(member)

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def leave(self, data):
        member = self.pick(data)
        self.members.remove(member)
        self.do(member.close())

    @precondition(lambda self: self.members)
    @rule(data=st.data(), is_noticed=st.booleans())
    def die(self, data, is_noticed):
        member = self.pick(data)
        self.forget(member)
        if is_noticed:
            self.desk.lose(member._member)

    @rule(data=st.data())
    def pass_time(self, data):
        self.clock.advance(data.draw(st.integers(1, 1400)))
        for member in list(self.members):
            if data.draw(st.booleans()):
                self.beat(member)

    def beat(self, member):
        try:
            self.do(member.beat())
        except MemberFenced:
            self.forget(member)

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def poll(self, data):
        member = self.pick(data)

        try:
            self.do(self.read_on(member))
        except MemberFenced:
            self.forget(member)

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def commit(self, data):
        member = self.pick(data)
        group = self.desk._memberships.get("g")
        names = {group._names.get(member._member)} if group else set()
        held = {
            key
            for view in self.do(self.desk.views())
            for seat in view.members
            if seat.name in names
            for key in seat.held
        }
        try:
            self.do(member.commit(offsets=dict(member.positions)))
        except MemberFenced:
            assert not set(member.positions) <= held or not held
        else:
            assert set(member.positions) <= held

    @rule(offset=st.integers(0, 40), partition=st.integers(0, PARTITIONS - 1))
    def seek(self, offset, partition):
        try:
            self.do(self.desk.seek("g", {(STREAM, partition): offset}))
        except (GroupRefused, OffsetOutOfRange):
            return
        assert not self.do(self.desk.views())
        self.seen[partition].update(range(offset))

    @rule(kept=st.integers(0, 12))
    def retain(self, kept):
        async def retain():
            await self.store.ensure(StreamSpec(STREAM, PARTITIONS, retention_count=kept))
            while await self.store.retain_step():
                pass

        self.do(retain())

    @rule()
    def restart(self):
        for member in list(self.members):
            self.forget(member)
        self.do(self.reopen())
        self.desk = GroupDesk(self.store, self.clock)

    @invariant()
    def every_partition_has_exactly_one_owner(self):
        for view in self.do(self.desk.views()):
            held = sorted(key for seat in view.members for key in seat.held)
            assert held == [(STREAM, partition) for partition in range(PARTITIONS)]

    @invariant()
    def nothing_is_committed_that_nobody_saw(self):
        for group in self.do(self.store.groups()):
            for (_, partition), committed in group.offsets.items():
                _, end = self.do(self.store.bounds(STREAM, partition))
                assert committed <= end
                left = {
                    record.offset for record in self.do(everything(self.store, STREAM, partition))
                }
                assert not {offset for offset in left if offset < committed} - self.seen[partition]

    def teardown(self):
        """Whoever comes last sees all that is left."""
        for member in list(self.members):
            self.forget(member)
        self.desk = GroupDesk(self.store, self.clock)
        self.join("")
        while self.members and self.do(self.read_on(self.members[0])):
            pass
        for partition in range(PARTITIONS):
            left = {record.offset for record in self.do(everything(self.store, STREAM, partition))}
            assert left <= self.seen[partition]
        for member in list(self.members):
            self.forget(member)
        self.do(self.store.close())
        self.runner.close()

    async def read_on(self, member):
        """Read a little; whether there was something left to read."""
        await member._settle_share()
        unread = [await self.store.unread(*key, at) for key, at in member.positions.items()]
        if not any(own.first_ms is not None for own in unread):
            return False
        batches = await poll_shortly(member)
        for gap in member.gaps:
            self.seen[gap.partition].update(range(gap.start_offset, gap.stop_offset))
        for record in records_of(batches):
            self.seen[record.partition].add(record.offset)
        return True


TestGroup = Group.TestCase
TestGroup.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


class SqliteGroup(Group):
    """The same over the embedded engine, closed and opened again at each restart."""

    async def open_store(self):
        self.folder = tempfile.TemporaryDirectory()
        return await open_store(StoreOptions(Path(self.folder.name)), self.clock)

    async def reopen(self):
        await self.store.close()
        self.store = await open_store(StoreOptions(Path(self.folder.name)), self.clock)

    def teardown(self):
        super().teardown()
        self.folder.cleanup()


TestSqliteGroup = SqliteGroup.TestCase
TestSqliteGroup.settings = settings(max_examples=8, stateful_step_count=20, deadline=None)


@pytest.fixture
async def log():
    store = MemoryStore()
    await store.ensure(StreamSpec(STREAM, 2))
    yield store
    await store.close()


async def test_groups_and_members_are_bounded(log):
    desk = GroupDesk(log, ManualClock(), GroupOptions(groups_max=1, members_max=1))
    await desk.join(WISH)
    with pytest.raises(GroupRefused, match="has 1 members already"):
        await desk.join(WISH)
    with pytest.raises(GroupRefused, match="there are 1 groups already"):
        await desk.join(WISH._replace(group="h"))


async def test_a_group_behind_the_end_is_told_how_to_move(log):
    await log.append([a_run(b"x")])
    await GroupDesk(log, ManualClock()).join(WISH)
    log._committed["g"][STREAM, 0] = 9
    with pytest.raises(OffsetOutOfRange, match=r"stands at @9 .* 'penstock streams seek'"):
        await GroupDesk(log, ManualClock()).join(WISH)


async def test_no_stream_is_no_group(log):
    with pytest.raises(GroupRefused, match="at least one stream"):
        await GroupDesk(log, ManualClock()).join(WISH._replace(streams=[]))


async def test_members_that_are_gone_are_forgotten(log):
    clock = ManualClock()
    desk = GroupDesk(log, clock)
    await desk.join(WISH)
    for _ in range(8):
        clock.advance(500)
        desk.look()
    assert desk._groups_of_members == {}
    assert await desk.views() == []
