import asyncio

from gateway.events import RecordBatch
from gateway.store.recent import RECORD_BYTES, Recent, memory_bytes
from tests.gateway.store.building import STREAM, a_run


def a_batch(commit_no, size=100):
    return RecordBatch(STREAM, 0, commit_no, commit_no, [a_run(b"x" * size)])


def filled(bytes_max, count, size=100):
    recent = Recent(bytes_max, last_commit_no=0)
    for commit_no in range(1, count + 1):
        recent.add([a_batch(commit_no, size)], size + RECORD_BYTES)
    return recent


def test_memory_is_counted_with_a_share_for_each_record():
    assert memory_bytes([a_run(b"12345", b""), a_run(b"1")]) == 6 + 3 * RECORD_BYTES


def test_the_oldest_commits_are_dropped_first():
    recent = filled(3 * (100 + RECORD_BYTES), count=5)
    assert (recent.first_commit_no, recent.last_commit_no) == (3, 5)
    assert recent.covers(2)
    assert not recent.covers(1)
    assert recent.batches_of(3)[0].commit_no == 3


def test_the_newest_commit_is_kept_however_large():
    recent = filled(10, count=3)
    assert (recent.first_commit_no, recent.last_commit_no) == (3, 3)


def test_commits_without_records_are_counted():
    recent = Recent(1000, last_commit_no=7)
    recent.add([], 0)
    assert recent.covers(7)
    assert recent.batches_of(8) == []


def test_a_reset_forgets_everything():
    recent = filled(10_000, count=3)
    recent.reset(9)
    assert (recent.first_commit_no, recent.last_commit_no) == (10, 9)
    assert not recent.covers(3)
    assert recent.covers(9)


async def test_a_waiting_reader_is_woken_by_the_next_commit():
    recent = filled(10_000, count=1)
    waiting = [asyncio.create_task(recent.wait(1)) for _ in range(3)]
    await asyncio.sleep(0)
    recent.add([a_batch(2)], 100)
    await asyncio.gather(*waiting)
    await recent.wait(1)


async def test_a_reader_that_gave_up_is_forgotten():
    recent = filled(10_000, count=1)
    waiting = asyncio.create_task(recent.wait(1))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not recent._waiting


async def test_a_reader_that_gives_up_as_it_is_woken_disturbs_nobody():
    recent = filled(10_000, count=1)
    waiting = [asyncio.create_task(recent.wait(1)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    recent.wake()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1] is None


async def test_a_choosy_reader_sleeps_until_its_stream_has_more():
    recent = filled(10_000, count=1)
    waiting = asyncio.create_task(recent.wait_for(1, {"quiet"}))
    await asyncio.sleep(0)
    for commit_no in (2, 3):
        recent.add([a_batch(commit_no)], 100)
    recent.add([], 0)
    await asyncio.sleep(0)
    assert not waiting.done()
    recent.add([a_batch(5), RecordBatch("quiet", 0, 0, 5, [a_run(b"x")])], 100)
    recent.add([a_batch(6)], 100)
    assert await waiting == 4
    assert not recent._choosy


async def test_a_choosy_reader_looks_again_when_it_is_behind_or_woken():
    recent = filled(10_000, count=3)
    assert await recent.wait_for(1, {"quiet"}) == 1
    waiting = asyncio.create_task(recent.wait_for(3, {"quiet"}))
    await asyncio.sleep(0)
    recent.wake()
    assert await waiting == 3
