import random
import shutil
import sqlite3
from collections import defaultdict
from dataclasses import replace

import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable, StreamInvalid
from gateway.store import (
    StoreOptions,
    StreamSpec,
    audit_log,
    open_reader,
    open_store,
    verify_log,
)
from gateway.store.sqlite.reservations import RESERVED_OFFSETS
from gateway.store.sqlite.unwritten import Unwritten
from tests.gateway.store.building import (
    BASE_MS,
    STREAM,
    copy_of,
    everything,
    numbered,
    payloads_of,
    take,
)
from tests.gateway.store.contract import StoreContract
from tests.harness.waiting import until

FAST = "fast"
FAST_SPEC = StreamSpec(FAST, 2, durability="memory", retention_age_ms=None)
NEVER_MS = 10_000_000


async def opened(data_dir, **settings):
    options = StoreOptions(data_dir, **{"memory_ms": NEVER_MS, **settings})
    store = await open_store(options, ManualClock(BASE_MS))
    await store.ensure(StreamSpec(STREAM, 2, retention_age_ms=None))
    if FAST not in {spec.name for spec in await store.streams()}:
        await store.ensure(FAST_SPEC)
    return store


async def crashed(store, data_dir, target):
    """What a process that is killed now leaves behind."""
    shutil.copytree(data_dir, target, ignore=shutil.ignore_patterns("*.lock", "*-shm"))
    return target


async def count_in_file(data_dir):
    reader = await open_reader(data_dir)
    try:
        return sum(own.log_end_offset for own in await reader.extents(FAST))
    finally:
        await reader.close()


async def until_in_file(data_dir, count):
    """Wait until another process would find so many records."""

    async def are_there():
        return await count_in_file(data_dir) >= count

    await until(are_there, "records to be written")


async def test_records_in_memory_have_offsets_and_readers_but_no_row(tmp_path):
    store = await opened(tmp_path)
    tail = store.tail([FAST, STREAM], "earliest")
    appended = await store.append([numbered(0, 5, stream=FAST), numbered(0, 2)])
    assert appended.base_offsets == [0, 0]
    assert (await store.append([numbered(5, 5, stream=FAST)])).base_offsets == [5]
    assert store.appended.records == 12
    assert [record.offset for record in await everything(store, FAST)] == list(range(10))
    assert len(payloads_of(await take(tail, 12))) == 12
    assert payloads_of((await store.fetch(FAST, 0, 3, records_max=4)).batches) == [
        b"3",
        b"4",
        b"5",
        b"6",
    ]
    assert await count_in_file(tmp_path) == 0
    assert (await store.bounds(FAST, 0)).log_end_offset == 10
    assert (await store.unread(FAST, 0, 4)).records == 6
    assert await store.offset_at(FAST, 0, BASE_MS) == 0
    assert await store.offset_at(FAST, 0, BASE_MS + 1) is None
    extent = (await store.extents(FAST))[0]
    assert (extent.log_end_offset, extent.first_ms, extent.stored_bytes) == (10, BASE_MS, 0)
    await store.close()


async def test_a_clean_stop_writes_everything_in_few_rows(tmp_path):
    store = await opened(tmp_path)
    for number in range(20):
        await store.append([numbered(10 * number, 10, stream=FAST, partition=number % 2)])
    await store.close()
    verdict = verify_log(tmp_path)
    assert verdict["faults"] == []
    assert verdict["batches"] == 2
    store = await opened(tmp_path)
    assert [record.offset for record in await everything(store, FAST, 1)] == list(range(100))
    assert (await store.append([numbered(0, 1, stream=FAST)])).base_offsets == [100]
    assert await store.entries("unwritten")
    await store.close()
    assert audit_log(tmp_path)["balanced"]


async def test_after_a_kill_offsets_go_on_behind_a_gap(tmp_path):
    data_dir = tmp_path / "log"
    store = await opened(data_dir)
    await store.append([numbered(0, 5, stream=FAST)])
    await store.close()
    store = await opened(data_dir)
    base = (await store.append([numbered(5, 5, stream=FAST)])).base_offsets[0]
    await store.commit_group("readers", 1, offsets={(FAST, 0): 10, (FAST, 1): 0})
    assert verify_log(data_dir)["faults"] == []
    assert audit_log(data_dir)["balanced"]
    left = await crashed(store, data_dir, tmp_path / "left")
    await store.close()
    store = await opened(left)
    bounds = await store.bounds(FAST, 0)
    assert bounds.log_end_offset >= base + 5
    assert bounds.log_end_offset <= 10 + RESERVED_OFFSETS
    assert [record.offset for record in await everything(store, FAST)] == list(range(5))
    chunk = await store.fetch(FAST, 0, 5)
    assert [(gap.start_offset, gap.stop_offset) for gap in chunk.gaps] == [
        (5, bounds.log_end_offset)
    ]
    again = await store.append([numbered(0, 3, stream=FAST)])
    assert again.base_offsets == [bounds.log_end_offset]
    await store.close()
    assert verify_log(left)["faults"] == []
    found = audit_log(left)
    assert found["balanced"], found
    store = await opened(left)
    assert (await store.bounds(FAST, 0)).log_end_offset == bounds.log_end_offset + 3
    await store.close()


async def test_what_waits_is_written_when_its_time_has_come(tmp_path):
    store = await opened(tmp_path, memory_ms=20)
    for number in range(2):
        await store.append([numbered(5 * number, 5, stream=FAST)])
        await until_in_file(tmp_path, 5 * (number + 1))
    assert len(await everything(store, FAST)) == 10
    await store.close()


async def test_what_is_too_much_for_memory_is_written_at_once(tmp_path):
    store = await opened(tmp_path, memory_bytes_max=5_000)
    for number in range(50):
        await store.append([numbered(10 * number, 10, stream=FAST)])
    await until_in_file(tmp_path, 400)
    assert store._committer.unwritten.size_bytes < 6_000
    assert len(await everything(store, FAST)) == 500
    await store.close()
    assert verify_log(tmp_path)["batches"] < 20


async def test_a_reader_sees_no_seam_where_records_are_written_meanwhile(tmp_path):
    store = await opened(tmp_path, memory_bytes_max=2_000, tail_bytes_max=1)
    tail = store.tail([FAST, STREAM], "earliest")
    for number in range(60):
        stream = STREAM if number % 3 == 0 else FAST
        await store.append([numbered(10 * number, 10, stream=stream)])
        if number % 7 == 0:
            await tail.next(records_max=25)
    late = store.tail([FAST, STREAM], "earliest")
    found = payloads_of(await take(late, 600))
    assert sorted(map(int, found)) == list(range(600))
    await store.close()


async def test_retention_takes_records_that_were_never_written(tmp_path):
    store = await opened(tmp_path)
    await store.ensure(StreamSpec(FAST, 2, durability="memory", retention_count=30))
    tail = store.tail([FAST], {(FAST, 0): 0, (FAST, 1): 0})
    for number in range(10):
        await store.append([numbered(10 * number, 10, stream=FAST)])
    assert await store.retain_step() == 7
    assert await store.retain_step() == 0
    bounds = await store.bounds(FAST, 0)
    assert (bounds.log_start_offset, bounds.log_end_offset) == (70, 100)
    assert len(payloads_of(await take(tail, 30))) >= 30
    assert len(await everything(store, FAST)) == 30
    await store.close()
    assert verify_log(tmp_path)["faults"] == []
    assert audit_log(tmp_path)["balanced"]
    store = await opened(tmp_path)
    assert [record.offset for record in await everything(store, FAST)] == list(range(70, 100))
    await store.close()


async def test_a_stream_leaves_memory_only_when_all_of_it_is_written(tmp_path):
    store = await opened(tmp_path)
    await store.append([numbered(0, 5, stream=FAST)])
    lasting = StreamSpec(FAST, 2, retention_age_ms=None)
    with pytest.raises(StreamInvalid, match="holds records in memory alone"):
        await store.ensure(lasting)
    await store.close()
    store = await opened(tmp_path)
    await store.ensure(lasting)
    await store.append([numbered(5, 5, stream=FAST)])
    assert await count_in_file(tmp_path) == 10
    await store.close()


async def test_a_failed_disk_loses_nothing_that_memory_holds(tmp_path, monkeypatch):
    store = await opened(tmp_path)
    await store.append([numbered(0, 5, stream=FAST)])
    committer = store._committer

    async def refuse(*_, **__):
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(committer, "_write", refuse)
        with pytest.raises(StoreUnavailable):
            await store.append([numbered(0, 5)])
    await until(lambda: committer._failure is None, "the log to be open again")
    assert (await store.append([numbered(5, 5, stream=FAST)])).base_offsets == [5]
    await store.append([numbered(0, 5)])
    assert [record.offset for record in await everything(store, FAST)] == list(range(10))
    await store.close()
    assert verify_log(tmp_path)["faults"] == []


@pytest.mark.parametrize("seed", range(6))
async def test_any_history_agrees_with_lists(tmp_path, seed):  # noqa: PLR0915 - one history
    rng = random.Random(seed)
    limits = {"memory_bytes_max": rng.choice([1_000, 100_000]), "tail_bytes_max": 500}
    lists = defaultdict(list)
    told = defaultdict(int)
    data_dir, lives = tmp_path / "0", 0
    store = await opened(data_dir, **limits)
    for number in range(60):
        turn = rng.random()
        key = (rng.choice([FAST, STREAM]), rng.randrange(2))
        if turn < 0.8:
            run = numbered(100 * number, rng.randint(1, 9), stream=key[0], partition=key[1])
            kept = copy_of(run)
            (base,) = (await store.append([run])).base_offsets
            assert base >= told[key]
            lists[key] += [(base + place, own) for place, own in enumerate(kept.payloads)]
            told[key] = base + len(kept)
        elif turn < 0.9:
            await store.close()
            store = await opened(data_dir, **limits)
        else:
            lives += 1
            left = await crashed(store, data_dir, tmp_path / str(lives))
            await store.close()
            data_dir = left
            store = await opened(data_dir, **limits)
            for own in [(FAST, 0), (FAST, 1)]:
                found = [(one.offset, one.payload) for one in await everything(store, *own)]
                assert found == lists[own][: len(found)]
                lists[own] = found
        found = [(one.offset, one.payload) for one in await everything(store, *key)]
        assert found == lists[key]
    await store.close()
    assert verify_log(data_dir)["faults"] == []
    assert audit_log(data_dir)["balanced"]


def test_nothing_is_due_while_there_is_nothing():
    unwritten = Unwritten(100, 100)
    assert not unwritten
    assert unwritten.due_ms() == float("inf")
    assert unwritten.release() == []


class TestStoreInMemory(StoreContract):
    """Everything that an engine promises while it runs holds for streams in memory, too.

    But for what the fixture itself changes, the durability, and sizes on disk.
    """

    test_a_stream_is_listed_as_it_was_asked_for = None
    test_ensuring_again_changes_limits_and_keeps_records = None
    test_extents_say_how_much_there_is = None

    @pytest.fixture
    async def store(self, tmp_path):
        options = StoreOptions(tmp_path, tail_bytes_max=1, memory_ms=NEVER_MS)
        store = await open_store(options, ManualClock())
        ensure = store.ensure

        async def ensure_in_memory(spec):
            can_be = spec.compact_by is None and spec.durability == "fsync"
            await ensure(replace(spec, durability="memory") if can_be else spec)

        store.ensure = ensure_in_memory
        yield store
        await store.close()
