import pytest

from gateway.clock import ManualClock
from gateway.errors import UnknownStream
from gateway.events import Record
from gateway.store import StreamSpec
from gateway.store.groups.letters import DEAD_LETTERS, Failure, letter_run
from gateway.store.groups.redrive import RedriveWish, redrive
from gateway.store.memory import MemoryStore
from tests.gateway.store.building import STREAM, a_run, everything

CLOCK = ManualClock(5000)


@pytest.fixture
async def log():
    store = MemoryStore()
    await store.ensure(StreamSpec(STREAM, 2))
    yield store
    await store.close()


def a_letter(number, stream=STREAM, cause="exit 1"):
    record = Record(stream, number % 2, number, 1, "a/b", "b", "c", b"%d" % number)
    return letter_run(record, Failure(cause, "g", "w", 5), 1000)


async def test_without_letters_nothing_is_done(log):
    assert await redrive(log, CLOCK, RedriveWish()) == (0, 0)


async def test_letters_go_back_to_their_partitions_in_order_up_to_a_limit(log):
    await log.ensure(DEAD_LETTERS)
    await log.append([a_letter(number) for number in range(5)])
    assert await redrive(log, CLOCK, RedriveWish(limit=3)) == (3, 0)
    assert await redrive(log, CLOCK, RedriveWish()) == (2, 3)
    assert [record.payload for record in await everything(log)] == [b"0", b"2", b"4"]
    assert [record.arrival_ms for record in await everything(log, partition=1)] == [5000, 5000]


async def test_what_anybody_published_there_is_passed_over(log):
    await log.ensure(DEAD_LETTERS)
    await log.append([a_run(b"hello", stream=DEAD_LETTERS.name), a_letter(1)])
    assert await redrive(log, CLOCK, RedriveWish()) == (1, 0)


async def test_a_letter_of_a_stream_that_is_gone_says_so(log):
    await log.ensure(DEAD_LETTERS)
    await log.append([a_letter(0, stream="gone")])
    with pytest.raises(UnknownStream):
        await redrive(log, CLOCK, RedriveWish())


async def test_marks_of_letters_that_are_gone_are_forgotten(log):
    await log.ensure(DEAD_LETTERS)
    for number in range(3):
        await log.append([a_letter(number)])
    await redrive(log, CLOCK, RedriveWish())
    await log.ensure(StreamSpec(DEAD_LETTERS.name, 1, retention_count=1))
    while await log.retain_step():
        pass
    await redrive(log, CLOCK, RedriveWish())
    assert len(await log.entries("redriven")) == 1
