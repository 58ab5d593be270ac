import pytest

from gateway.events import RecordBatch
from gateway.store.cursors import Cursor, GroupMember, Merged, part_from
from gateway.store.protocol import Gap
from gateway.store.recent import Recent
from tests.gateway.store.building import STREAM, numbered, payloads_of

KEY = (STREAM, 0)


class Scripted:
    """A history that answers each reading with the next of its answers."""

    def __init__(self, *answers, recent=None):
        self.answers = list(answers)
        self.recent = recent
        self.waits = 0

    async def read_merged(self, positions, allowance):
        assert allowance.records > 0
        return self.answers.pop(0)

    async def wait(self, after_commit_no):
        self.waits += 1


def a_batch(base_offset, count, commit_no=1):
    return RecordBatch(STREAM, 0, base_offset, commit_no, [numbered(base_offset, count)])


def cursor_of(history, position=0, after_commit_no=0):
    async def resolve():
        return {KEY: position}

    return Cursor(history, resolve, after_commit_no)


@pytest.mark.parametrize(
    ("position", "expected"), [(0, [3, 4, 5]), (3, [3, 4, 5]), (5, [5]), (6, None), (None, None)]
)
def test_the_part_of_a_batch_from_a_position(position, expected):
    part = part_from(a_batch(3, 3), position)
    assert (None if part is None else [int(p) for p in payloads_of([part])]) == expected


async def test_it_waits_only_when_the_history_has_no_more():
    gap = Gap(STREAM, 0, 0, 4, "damaged")
    history = Scripted(
        Merged([], [gap], {KEY: 4}, 1, has_more=True),
        Merged([], [], {KEY: 4}, 2, has_more=False),
        Merged([a_batch(4, 1)], [], {KEY: 5}, 3, has_more=False),
    )
    cursor = cursor_of(history)
    assert payloads_of(await cursor.next()) == [b"4"]
    assert history.waits == 1
    assert cursor.gaps == [gap]


async def test_gaps_are_those_of_the_last_reading():
    gap = Gap(STREAM, 0, 0, 4, "removed")
    history = Scripted(
        Merged([a_batch(4, 1)], [gap], {KEY: 5}, 1, has_more=True),
        Merged([a_batch(5, 1)], [], {KEY: 6}, 2, has_more=True),
    )
    cursor = cursor_of(history)
    await cursor.next()
    assert cursor.gaps == [gap]
    await cursor.next()
    assert cursor.gaps == []


async def test_the_seam_between_history_and_recent_commits_is_exact():
    """History ends within commit 3, which the window still has in full."""
    recent = Recent(10_000, last_commit_no=1)
    recent.add([a_batch(2, 2, commit_no=2)], 10)
    recent.add([a_batch(4, 4, commit_no=3)], 10)
    history = Scripted(Merged([a_batch(0, 6)], [], {KEY: 6}, 2, has_more=True), recent=recent)
    cursor = cursor_of(history)
    assert len(payloads_of(await cursor.next())) == 6
    assert payloads_of(await cursor.next()) == [b"6", b"7"]
    assert history.waits == 0


async def test_a_commit_that_was_returned_in_part_is_gone_on_with():
    recent = Recent(10_000, last_commit_no=0)
    recent.add([a_batch(0, 5)], 10)
    recent.add([a_batch(5, 2, commit_no=2)], 10)
    cursor = cursor_of(Scripted(recent=recent))
    found = [payloads_of(await cursor.read(2, 1 << 20)) for _ in range(4)]
    assert [len(part) for part in found] == [2, 2, 2, 1]
    assert [int(p) for part in found for p in part] == list(range(7))


async def test_a_batch_for_which_there_is_no_room_waits_for_the_next_reading():
    recent = Recent(10_000, last_commit_no=0)
    recent.add([a_batch(0, 2), a_batch(2, 2)], 10)
    cursor = cursor_of(Scripted(recent=recent))
    assert payloads_of(await cursor.read(2, 1 << 20)) == [b"0", b"1"]
    assert payloads_of(await cursor.read(2, 1 << 20)) == [b"2", b"3"]


async def test_a_closed_cursor_reads_nothing():
    cursor = cursor_of(Scripted())
    cursor.close()
    assert await cursor.next() == ()


async def test_a_member_commits_nothing_more_than_it_is_told():
    class Fence:
        def check(self):
            return None

        def commit(self, outputs, state, offsets):
            return (outputs, state, offsets)

    member = GroupMember(cursor_of(Scripted()), Fence())
    assert member.commit() == ((), (), {})
    assert member.gaps == []
    await member.close()
    assert await member.poll() == ()
