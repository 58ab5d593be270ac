import pytest

from gateway.clock import ManualClock
from gateway.errors import MemberFenced, StoreUnavailable
from gateway.store import StreamSpec
from gateway.store.groups.desk import GroupDesk, Wish
from gateway.store.groups.member import SharingMember
from gateway.store.memory import MemoryStore
from tests.gateway.store.building import STREAM, numbered, payloads_of
from tests.harness.waiting import until

WISH = Wish("g", [STREAM], session_ms=500)


@pytest.fixture
async def log():
    store = MemoryStore()
    await store.ensure(StreamSpec(STREAM, 2))
    yield store
    await store.close()


async def test_a_member_beats_by_itself_and_learns_of_others(log):
    desk = GroupDesk(log, ManualClock())
    first = await SharingMember.join(log, desk, WISH)
    second = await SharingMember.join(log, desk, WISH)
    await until(lambda: first.is_asked_to_release, "the first to be asked")
    await first._settle_share()
    await second.beat()
    await log.append([numbered(0, 1), numbered(1, 1, partition=1)])
    seen = payloads_of(await first.poll()) + payloads_of(await second.poll())
    assert sorted(seen) == [b"0", b"1"]
    await first.close()
    await second.close()


async def test_a_member_without_partitions_waits_for_some(log):
    desk = GroupDesk(log, ManualClock())
    members = [await SharingMember.join(log, desk, WISH) for _ in range(2)]
    late = await SharingMember.join(log, desk, WISH)
    await log.append([numbered(0, 1), numbered(1, 1, partition=1)])
    for member in members:
        await member.close()
    seen = payloads_of(await late.poll())
    while len(seen) < 2:
        seen += payloads_of(await late.poll())
    assert sorted(seen) == [b"0", b"1"]
    await late.close()


@pytest.mark.parametrize("failure", [MemberFenced("gone"), StoreUnavailable("no desk")])
async def test_a_member_that_lost_its_desk_says_so_when_it_polls(log, failure, monkeypatch):
    desk = GroupDesk(log, ManualClock())
    member = await SharingMember.join(log, desk, WISH)

    async def beat(_):
        raise failure

    monkeypatch.setattr(desk, "beat", beat)
    with pytest.raises(type(failure)):
        await member.poll()
    await member.close()
