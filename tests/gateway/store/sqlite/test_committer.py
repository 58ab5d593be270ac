import asyncio
import contextlib
import random
import sqlite3
import subprocess
import sys

import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreError, StoreFull, StoreUnavailable
from gateway.events import Origin
from gateway.store import Put, StoreOptions, StreamSpec, open_store
from gateway.store.sqlite import committer as committer_module
from gateway.store.sqlite.committer import INLINE_BYTES_MAX
from tests.gateway.store.building import STREAM, a_run, everything, numbered, payloads_of, take
from tests.harness.waiting import until

IO_ERROR = sqlite3.OperationalError("disk I/O error")


@pytest.fixture
async def log(tmp_path, monkeypatch):
    monkeypatch.setattr(committer_module, "REOPEN_PAUSE_MIN_S", 0.001)
    store = await open_store(StoreOptions(tmp_path), ManualClock())
    await store.ensure(StreamSpec(STREAM, 2))
    yield store
    await store.close()


async def open_with(tmp_path, **options):
    store = await open_store(StoreOptions(tmp_path, **options), ManualClock())
    await store.ensure(StreamSpec(STREAM, 2))
    return store


def fail_on(log, word, error=IO_ERROR, times=1):
    """Let the connection fail the next statements that contain `word`; return how many are left."""
    connection = log._committer._connection
    left = [times]
    for name in ("execute_fetchall", "executemany"):
        original = getattr(connection, name)

        async def execute(sql, *parameters, original=original):
            if word in sql and left[0] > 0:
                left[0] -= 1
                raise error
            return await original(sql, *parameters)

        setattr(connection, name, execute)
    return left


async def accepted_again(log, run):
    """Append as soon as the store takes records again."""

    async def append():
        with contextlib.suppress(StoreUnavailable):
            return await log.append([run])

    return await until(append, "the store to take records again")


async def test_what_is_queued_during_a_commit_becomes_the_next(log):
    first = log.append([numbered(0, 1)])
    await asyncio.sleep(0)
    others = [log.append([numbered(n, 1)]) for n in range(1, 50)]
    commit_nos = [(await append).commit_no for append in (first, *others)]
    assert sorted(set(commit_nos)) == [commit_nos[0], commit_nos[0] + 1]


async def test_a_commit_takes_no_more_than_its_share(tmp_path):
    store = await open_with(tmp_path, commit_bytes_max=5000)
    appends = [store.append([a_run(b"x" * 2000)]) for _ in range(6)]
    commit_nos = [(await append).commit_no for append in appends]
    assert [commit_no - commit_nos[0] for commit_no in commit_nos] == [0, 0, 1, 1, 2, 2]
    large = await store.append([a_run(b"x" * 9000)])
    assert large.commit_no == commit_nos[-1] + 1
    await store.close()


async def test_commits_are_numbered_one_by_one(log):
    commit_nos = [(await log.append([numbered(n, 1)])).commit_no for n in range(5)]
    commit_nos.append((await log.append([], [Put("t", "k", b"v")])).commit_no)
    assert commit_nos == list(range(commit_nos[0], commit_nos[0] + 6))


async def test_large_commits_are_compressed_beside_the_loop(log):
    rng = random.Random(5)
    payloads = [rng.randbytes(2000) for _ in range(INLINE_BYTES_MAX // 2000 + 10)]
    await log.append([a_run(*payloads)])
    assert [record.payload for record in await everything(log)] == payloads


async def test_lingering_lets_later_appends_share_a_commit(tmp_path):
    store = await open_with(tmp_path, linger_ms=30)
    first = store.append([numbered(0, 1)])
    for _ in range(5):
        await asyncio.sleep(0)
    second = store.append([numbered(1, 1)])
    assert (await first).commit_no == (await second).commit_no
    await store.close()


async def test_lingering_ends_when_a_commit_is_full_or_the_store_closes(tmp_path):
    store = await open_with(tmp_path / "a", linger_ms=1, commit_bytes_max=1000)
    store._committer._options = StoreOptions(tmp_path / "a", 3_600_000, commit_bytes_max=1000)
    early = store.append([a_run(b"x")])
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await asyncio.gather(early, store.append([a_run(b"x" * 1000)]))
        await store.append([a_run(b"x" * 1000)])
        last = store.append([a_run(b"x")])
        await asyncio.sleep(0)
        await store.close()
    assert last.done()


async def test_a_queue_that_is_full_refuses(tmp_path):
    store = await open_with(tmp_path, queued_bytes_max=1000)
    taken = store.append([a_run(b"x" * 2000)])
    with pytest.raises(StoreUnavailable, match="bytes wait"):
        await store.append([a_run(b"y")])
    await taken
    await store.append([a_run(b"z")])
    assert [len(record.payload) for record in await everything(store)] == [2000, 1]
    await store.close()


async def test_after_an_error_everybody_who_waits_is_refused(log):
    await log.append([numbered(0, 3)])
    fail_on(log, "INSERT INTO batches")
    first = log.append([numbered(3, 3)])
    await asyncio.sleep(0)
    queued = log.append([numbered(6, 3)])
    for append in (first, queued):
        with pytest.raises(StoreUnavailable, match="disk I/O error"):
            await append
    assert log.queued_bytes == 0
    appended = await accepted_again(log, numbered(3, 2))
    assert appended.base_offsets == [3]
    assert [int(record.payload) for record in await everything(log)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("word", ["BEGIN", "INSERT INTO batches", "entries", "COMMIT"])
async def test_a_transaction_that_fails_leaves_nothing(log, word):
    await log.append([numbered(0, 1)], [Put("t", "k", b"old")])
    fail_on(log, word)
    with pytest.raises(StoreUnavailable):
        await log.append([numbered(1, 1)], [Put("t", "k", b"new")])
    await accepted_again(log, numbered(2, 1))
    assert [int(record.payload) for record in await everything(log)] == [0, 2]
    assert await log.table("t").get("k") == b"old"


async def test_each_failure_has_an_exception_of_its_own(log):
    fail_on(log, "INSERT")
    appends = [log.append([numbered(n, 1)]) for n in range(2)]
    failures = await asyncio.gather(*appends, return_exceptions=True)
    assert failures[0] is not failures[1]


async def test_while_the_disk_is_away_requests_are_refused_at_once(log, monkeypatch):
    connect_writer = committer_module.connect_writer
    tries = []

    async def connect(path):
        tries.append(path)
        if len(tries) < 4:
            raise StoreUnavailable("still away")
        return await connect_writer(path)

    monkeypatch.setattr(committer_module, "connect_writer", connect)
    fail_on(log, "INSERT")
    first = log.append([numbered(0, 1)])
    await until(lambda: tries, "the store to look for its disk")
    for number in (1, 2):
        with pytest.raises(StoreUnavailable):
            await log.append([numbered(number, 1)])
    assert not first.done()
    with pytest.raises(StoreUnavailable):
        await first
    await accepted_again(log, numbered(9, 1))
    assert len(tries) == 4


async def test_closing_does_not_wait_for_a_disk_that_is_away(log, monkeypatch):
    async def connect(path):
        raise StoreUnavailable("away for good")

    monkeypatch.setattr(committer_module, "REOPEN_PAUSE_MIN_S", 3600)
    monkeypatch.setattr(committer_module, "VERDICT_S_MAX", 0.01)
    monkeypatch.setattr(committer_module, "connect_writer", connect)
    fail_on(log, "INSERT")
    with pytest.raises(StoreUnavailable):
        await log.append([numbered(0, 1)])
    async with asyncio.timeout(10):
        await log.close()


async def test_a_connection_that_can_not_be_set_up_again_is_tried_again(log, monkeypatch):
    load_catalog = committer_module.load_catalog
    errors = [IO_ERROR, StoreUnavailable("busy")]

    async def load(connection):
        if errors:
            raise errors.pop()
        return await load_catalog(connection)

    monkeypatch.setattr(committer_module, "load_catalog", load)
    fail_on(log, "INSERT")
    with pytest.raises(StoreUnavailable):
        await log.append([numbered(0, 1)])
    assert (await accepted_again(log, numbered(1, 1))).base_offsets == [0]
    assert errors == []


async def test_the_wal_is_written_anew_after_an_error_as_soon_as_readers_let_it(log, tmp_path):
    reader = sqlite3.connect(tmp_path / "penstock.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM batches").fetchone()
    await log.append([numbered(0, 1)])
    connection = log._committer._connection
    await connection.execute_fetchall("PRAGMA busy_timeout = 0")
    with pytest.raises(StoreUnavailable, match="reader"):
        await committer_module.empty_wal(connection, tmp_path)
    reader.execute("COMMIT")
    await committer_module.empty_wal(connection, tmp_path)
    assert (tmp_path / "penstock.db-wal").stat().st_size == 0
    reader.close()


async def test_tails_lose_and_repeat_nothing_over_an_error(log):
    tail = log.tail([STREAM], "latest")
    found = []
    for number in range(6):
        # Commits of tables alone leave no number in the file; tails must not wait for them.
        await log.append([], [Put("t", "k", b"%d" % number)])
        await accepted_again(log, numbered(number, 1))
        if number % 2:
            fail_on(log, "INSERT INTO batches")
            with pytest.raises(StoreUnavailable):
                await log.append([numbered(99, 1)])
        await accepted_again(log, numbered(number, 1, partition=1))
        found += payloads_of(await take(tail, 2))
    assert found == [b"%d" % number for number in range(6) for _ in range(2)]


async def test_a_member_survives_an_error_and_is_still_fenced_by_the_next(log):
    await log.append([numbered(0, 3)])
    member = log.join("rules", [STREAM])
    fail_on(log, "groups")
    with pytest.raises(StoreUnavailable):
        await member.poll()
    await accepted_again(log, numbered(3, 1))
    assert len(payloads_of(await member.poll())) == 4
    await member.commit(offsets={(STREAM, 0): 2})
    log.join("rules", [STREAM])
    with pytest.raises(StoreError, match="another member"):
        member.commit(offsets={(STREAM, 0): 3})


async def test_a_full_disk_refuses_and_takes_again_when_there_is_room(log):
    """A quota on the database stands for the disk; the connection that has it is the old one."""
    await log.append([numbered(0, 2)])
    connection = log._committer._connection
    ((pages,),) = await connection.execute_fetchall("PRAGMA page_count")
    await connection.execute_fetchall(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreFull, match="no room"):
        await log.append([a_run(random.Random(1).randbytes(100_000))])
    await accepted_again(log, numbered(2, 2))
    assert [int(record.payload) for record in await everything(log)] == [0, 1, 2, 3]


async def test_a_record_that_can_not_be_encoded_costs_its_commit_only(log):
    bad = a_run(b"x")
    bad.origins = [Origin("\ud800", "d")]
    with pytest.raises(StoreError, match="can't be stored"):
        await log.append([bad])
    assert (await log.append([a_run(b"y")])).base_offsets == [0]
    assert log.queued_bytes == 0


async def test_only_streams_that_ask_for_it_go_without_sync(log):
    await log.ensure(StreamSpec("lazy", 1, durability="os"))

    async def synchronous():
        ((level,),) = await log._committer._connection.execute_fetchall("PRAGMA synchronous")
        return level

    await log.append([a_run(b"x", stream="lazy")])
    assert await synchronous() == 1
    await log.append([a_run(b"x", stream="lazy"), a_run(b"x")])
    assert await synchronous() == 2
    await log.append([a_run(b"x", stream="lazy")])
    await log.append([a_run(b"x", stream="lazy")], [Put("t", "k", b"v")])
    assert await synchronous() == 2
    assert [record.offset for record in await everything(log, "lazy")] == [0, 1, 2, 3]


async def test_a_task_that_dies_leaves_nobody_waiting(log, monkeypatch):
    async def compress(packed):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(log._committer, "_compress", compress)
    append = log.append([numbered(0, 1)])
    with pytest.raises(StoreUnavailable, match="closed"):
        await append
    with pytest.raises(StoreUnavailable):
        await log.append([numbered(0, 1)])
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await log._committer.close()
    log._committer._task = None


def run_and_kill(data_dir, seed, line_count):
    """Let a child append until it has printed so many lines; return all that it printed whole."""
    command = [sys.executable, "-m", "tests.gateway.store.sqlite.writing_child"]
    with subprocess.Popen([*command, str(data_dir), str(seed)], stdout=subprocess.PIPE) as child:
        lines = [child.stdout.readline() for _ in range(line_count)]
        child.kill()
        lines += child.stdout.readlines()
    return [tuple(map(int, line.split())) for line in lines if line.endswith(b"\n")]


@pytest.mark.parametrize("seed", range(3))
async def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path, seed):
    """Killed twice on the same data; every acknowledged run lies where it was said to."""
    rng = random.Random(seed)
    acknowledged = [
        line for _ in range(2) for line in run_and_kill(tmp_path, seed, rng.randint(1, 400))
    ]
    store = await open_store(StoreOptions(tmp_path), ManualClock())
    stored = [await everything(store, partition=partition) for partition in (0, 1)]
    for records in stored:
        assert [record.offset for record in records] == list(range(len(records)))
    assert acknowledged
    for partition, base_offset, first, count in acknowledged:
        found = [int(record.payload) for record in stored[partition][base_offset:][:count]]
        assert found == list(range(first, first + count))
    await store.close()


async def test_a_commit_that_failed_but_landed_is_reported_as_made(log):
    """As when the sync fails after the kernel has taken the pages: the file has the last word."""
    connection = log._committer._connection
    original = connection.execute_fetchall

    async def execute(sql, *parameters):
        rows = await original(sql, *parameters)
        if sql.startswith("INSERT INTO batches"):
            raise IO_ERROR
        return rows

    connection.execute_fetchall = execute
    made = await log.append([numbered(0, 3)])
    after = await log.append([numbered(3, 1)])
    assert (list(made.base_offsets), list(after.base_offsets)) == ([0], [3])
    assert after.commit_no == made.commit_no + 1
    assert payloads_of_partition(await everything(log)) == [b"0", b"1", b"2", b"3"]


def payloads_of_partition(records):
    return [record.payload for record in records]


async def test_a_commit_that_failed_and_did_not_land_is_refused(log):
    fail_on(log, "INSERT INTO batches")
    with pytest.raises(StoreUnavailable):
        await log.append([numbered(0, 3)])
    assert await everything(log) == []


async def test_what_waits_for_an_ack_does_not_wait_for_company(tmp_path):
    store = await open_with(tmp_path, linger_ms=None)
    async with asyncio.timeout(20):
        for number in range(100):
            await store.append([numbered(number, 1)])
    await store.close()


async def test_table_changes_do_not_wait_and_take_along_what_does(tmp_path):
    store = await open_with(tmp_path, linger_ms=3_600_000)
    early = store.append([numbered(0, 1)])
    async with asyncio.timeout(10):
        await store.append([], [Put("t", "k", b"v")])
        await early
    await store.close()


async def test_a_wider_window_holds_commits_back(tmp_path):
    store = await open_with(tmp_path)
    store.widen(64)
    first, second = (store.append([numbered(n, 1)]) for n in range(2))
    store.widen(1)
    async with asyncio.timeout(10):
        assert (await first).commit_no == (await second).commit_no
    await store.close()
