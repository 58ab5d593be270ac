import random

import pytest

from gateway.clock import ManualClock
from gateway.store import Extent, StoreOptions, StreamSpec, open_store
from gateway.store.sqlite.planning import PlannedBatch
from gateway.store.sqlite.retention import (
    BATCHES_REMOVED_MAX,
    BYTES_REMOVED_MAX,
    choose_excess,
)
from tests.gateway.store.building import BASE_MS, STREAM, a_run, everything


def old(commit_no, number=1, last_ms=0, body_bytes=10, record_count=1):
    end = commit_no + record_count
    key = (STREAM, number)
    return PlannedBatch(commit_no, key, commit_no, end, record_count, 0, last_ms, body_bytes, 0)


def extent(stored_bytes=0, count=0):
    return Extent(0, 0, count, stored_bytes, None, None)


def spec(**limits):
    return StreamSpec(STREAM, **{"retention_age_ms": None, **limits})


def chosen(limits, extents, oldest, now_ms=0):
    return [batch.id for batch in choose_excess(spec(**limits), extents, oldest, now_ms)]


def test_without_limits_everything_stays():
    assert chosen({}, [extent(10**9, 10**9)], [old(1)]) == []


def test_bytes_are_brought_below_the_limit_of_the_stream():
    oldest = [old(3, number=2), old(1), old(2), old(4)]
    assert chosen({"retention_bytes": 25}, [extent(30), extent(10)], oldest) == [1, 2]
    assert chosen({"retention_bytes": 40}, [extent(30), extent(10)], oldest) == []


def test_records_are_brought_below_the_limit_of_the_stream():
    oldest = [old(1, record_count=5), old(2, record_count=5), old(3, record_count=5)]
    assert chosen({"retention_count": 9}, [extent(count=15)], oldest) == [1, 2]


def test_age_is_judged_by_the_newest_record_of_a_batch():
    oldest = [old(1, last_ms=10), old(2, last_ms=20), old(3, last_ms=30)]
    assert chosen({"retention_age_ms": 100}, [extent()], oldest, now_ms=125) == [1, 2]


def test_a_partition_that_a_wrong_clock_keeps_does_not_keep_the_others():
    oldest = [old(1, last_ms=9999), old(2, last_ms=20), old(3, number=2, last_ms=20)]
    assert chosen({"retention_age_ms": 100}, [extent()], oldest, now_ms=200) == [3]


def test_one_step_removes_a_few():
    many = [old(n) for n in range(BATCHES_REMOVED_MAX + 9)]
    assert len(chosen({"retention_count": 0}, [extent(count=10**6)], many)) == BATCHES_REMOVED_MAX
    large = [old(n, body_bytes=BYTES_REMOVED_MAX // 2) for n in range(9)]
    assert len(chosen({"retention_count": 0}, [extent(count=10**6)], large)) == 2
    huge = [old(n, body_bytes=9 * BYTES_REMOVED_MAX) for n in range(9)]
    assert len(chosen({"retention_count": 0}, [extent(count=10**6)], huge)) == 1


@pytest.fixture
def clock():
    return ManualClock(1_000_000)


async def test_age_follows_the_clock_and_restarts_change_nothing(tmp_path, clock):
    store = await open_store(StoreOptions(tmp_path, tail_bytes_max=1), clock)
    await store.ensure(StreamSpec(STREAM, 2, retention_age_ms=1000))
    for partition in (0, 1, 0):
        run = a_run(b"x", partition=partition, arrival_ms=clock.now_ms())
        last_commit_no = (await store.append([run])).commit_no
        clock.advance(600)
    assert await store.retain_step() == 2
    assert await store.retain_step() == 0
    bounds = [await store.bounds(STREAM, partition) for partition in (0, 1)]
    assert bounds == [(1, 2), (1, 1)]
    clock.advance(10_000)
    assert await store.retain_step() == 1
    await store.close()
    store = await open_store(StoreOptions(tmp_path, tail_bytes_max=1), clock)
    assert [await store.bounds(STREAM, partition) for partition in (0, 1)] == [(2, 2), (1, 1)]
    appended = await store.append([a_run(b"y", arrival_ms=5)])
    assert appended.base_offsets == [2]
    assert appended.commit_no > last_commit_no
    assert (await everything(store))[0].arrival_ms == 1_001_200
    await store.close()


async def test_bytes_on_disk_stay_within_the_limit(tmp_path, clock):
    store = await open_store(StoreOptions(tmp_path, tail_bytes_max=1), clock)
    await store.ensure(StreamSpec(STREAM, 1, retention_bytes=1000))
    for number in range(30):
        await store.append([a_run(b"%d" % number)])
        await store.retain_step()
    (held,) = await store.extents(STREAM)
    assert 800 < held.stored_bytes <= 1000
    assert held.log_end_offset == 30
    await store.close()


async def test_what_is_left_is_found_when_its_fence_is_gone(tmp_path, clock):
    store = await open_store(StoreOptions(tmp_path, tail_bytes_max=1), clock)
    await store.ensure(StreamSpec(STREAM, 2))
    for number in range(150):
        await store.append([a_run(b"%d" % number, partition=number % 2)])
    for count in (149, 100, 90, 40, 3, 1, 0):
        await store.ensure(StreamSpec(STREAM, 2, retention_count=count))
        while await store.retain_step():
            pass
        held = [await everything(store, partition=partition) for partition in (0, 1)]
        kept = sorted(int(record.payload) for records in held for record in records)
        assert kept == list(range(150 - count, 150))
        assert sum(extent.stored_bytes > 0 for extent in await store.extents(STREAM)) == min(
            count, 2
        )
        await store.close()
        store = await open_store(StoreOptions(tmp_path, tail_bytes_max=1), clock)
    assert (await store.append([a_run(b"x")])).base_offsets == [75]
    assert [record.payload for record in await everything(store)] == [b"x"]
    await store.close()


async def store_with_a_slow_group(tmp_path, behind, clock):
    store = await open_store(StoreOptions(tmp_path, tail_bytes_max=1), clock)
    await store.ensure(
        StreamSpec(STREAM, 1, retention_age_ms=None, retention_count=10, behind=behind)
    )
    for number in range(50):
        await store.append([a_run(b"%d" % number)])
    member = store.join("slow", [STREAM])
    await member.poll(records_max=20)
    await member.commit(offsets={(STREAM, 0): 20})
    return store, member


async def retain(store):
    while await store.retain_step():
        pass
    return (await store.bounds(STREAM, 0)).log_start_offset


async def test_a_stream_that_blocks_keeps_what_a_live_group_has_not_read(tmp_path):
    clock = ManualClock()
    store, member = await store_with_a_slow_group(tmp_path, "block", clock)
    assert await retain(store) == 20
    await member.commit(offsets={(STREAM, 0): 35})
    assert await retain(store) == 35
    clock.advance(2 * 86_400_000)
    assert await retain(store) == 40
    await store.close()


async def test_a_stream_that_drops_tells_the_group_what_it_lost(tmp_path):
    store, member = await store_with_a_slow_group(tmp_path, "drop", ManualClock())
    await member.close()
    assert await retain(store) == 40
    again = store.join("slow", [STREAM])
    await again.poll()
    (gap,) = again.gaps
    assert (gap.start_offset, gap.stop_offset, gap.cause) == (20, 40, "removed")
    await store.close()


async def test_the_policy_outlives_a_restart(tmp_path):
    store, _ = await store_with_a_slow_group(tmp_path, "block", ManualClock())
    await store.close()
    store = await open_store(StoreOptions(tmp_path), ManualClock())
    assert [own.behind for own in await store.streams()] == ["block"]
    assert await retain(store) == 20
    await store.close()


async def test_the_file_does_not_grow_when_as_much_is_removed_as_is_added(tmp_path):
    store = await open_store(StoreOptions(tmp_path), ManualClock())
    await store.ensure(StreamSpec(STREAM, 1, retention_age_ms=None, retention_count=40))
    rng = random.Random(7)
    pages = []
    for _ in range(6):
        for _ in range(40):
            await store.append([a_run(rng.randbytes(9_000))])
            await store.retain_step()
        rows = await store._committer._connection.execute_fetchall("PRAGMA page_count")
        pages.append(next(iter(rows))[0])
    assert pages[-1] <= pages[1]
    await store.close()


async def test_nothing_is_too_old_while_the_clock_is_not_known_to_be_right(tmp_path):
    clock = ManualClock(BASE_MS)
    store = await open_store(StoreOptions(tmp_path), clock)
    await store.ensure(StreamSpec(STREAM, 1, retention_age_ms=1_000))
    await store.append([a_run(b"x", arrival_ms=BASE_MS)])
    clock.advance(10**9)
    clock.doubt()
    assert await retain(store) == 0
    clock.doubt(is_right=True)
    assert await retain(store) == 1
    await store.close()


async def test_arrival_never_runs_backwards_across_a_restart_with_the_clock_set_back(tmp_path):
    for arrival_ms in (BASE_MS, BASE_MS - 10**9):
        store = await open_store(StoreOptions(tmp_path), ManualClock(arrival_ms))
        await store.ensure(StreamSpec(STREAM, 1))
        await store.append([a_run(b"x", arrival_ms=arrival_ms)])
        found = [record.arrival_ms for record in await everything(store)]
        await store.close()
    assert found == [BASE_MS, BASE_MS]
