import asyncio
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gateway.clock import ManualClock
from gateway.errors import OffsetOutOfRange, StoreUnavailable, UnknownStream
from gateway.store import Gap, StoreOptions, StreamSpec, open_reader, open_store
from gateway.store.sqlite import reader as reader_module
from tests.gateway.store.building import (
    STREAM,
    a_run,
    assert_in_merge_order,
    everything,
    numbered,
    payloads_of,
    records_of,
    take,
)

READ_ALL = """
import asyncio, os, sys
from pathlib import Path
from gateway.store import open_reader
import gateway.store.sqlite.reader

# Everything is imported by now: whoever this becomes may not be able to read Python itself.
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)

async def main():
    reader = await open_reader(Path(sys.argv[1]))
    chunk = await reader.fetch("telemetry", 0, 0)
    print(*(record.payload.decode() for batch in chunk.batches for record in batch.records()))
    await reader.close()

asyncio.run(main())
"""


@pytest.fixture
async def store(tmp_path):
    store = await open_store(StoreOptions(tmp_path), ManualClock())
    await store.ensure(StreamSpec(STREAM, 3))
    yield store
    await store.close()


@pytest.fixture
async def reader(store, tmp_path, monkeypatch):
    monkeypatch.setattr(reader_module, "POLL_PAUSE_S", 0.005)
    reader = await open_reader(tmp_path)
    yield reader
    await reader.close()


async def test_it_reads_beside_the_writer_what_is_committed(store, reader):
    for number in range(5):
        await store.append([numbered(10 * number, 10)])
        assert len(await everything(reader)) == 10 * number + 10
    assert await reader.bounds(STREAM, 0) == await store.bounds(STREAM, 0)
    assert await reader.extents(STREAM) == await store.extents(STREAM)
    assert await reader.streams() == await store.streams()
    assert reader.caps == store.caps


async def test_a_stream_that_comes_later_is_found(store, reader):
    with pytest.raises(UnknownStream, match="there are: telemetry"):
        await reader.bounds("alerts", 0)
    await store.ensure(StreamSpec("alerts", 1))
    assert await reader.bounds("alerts", 0) == (0, 0)
    with pytest.raises(UnknownStream, match="partitions 0 … 2, not 3"):
        await reader.fetch(STREAM, 3, 0)


async def test_a_fetch_outside_says_what_there_is(store, reader):
    await store.append([numbered(0, 4)])
    with pytest.raises(OffsetOutOfRange, match=r"telemetry/0 holds offsets 0 … 3, not 9"):
        await reader.fetch(STREAM, 0, 9)


async def test_it_follows_in_the_order_of_commits(store, reader):
    tail = reader.tail([STREAM], "earliest")
    for number in range(20):
        await store.append([numbered(number, 1), numbered(number, 2, partition=number % 2 + 1)])
    batches = list(await take(tail, 60))
    following = asyncio.create_task(take(tail, 3))
    await asyncio.sleep(0)
    await store.append([numbered(20, 3)])
    batches += await following
    assert_in_merge_order(batches)
    assert len(records_of(batches)) == len(set(records_of(batches))) == 63


async def test_a_reader_starts_where_it_is_told(store, reader):
    await store.append([numbered(0, 2), numbered(5, 1, partition=1)])
    ends = {(STREAM, 0): 2, (STREAM, 1): 1, (STREAM, 2): 0}
    assert await reader.resolve([STREAM], "latest") == ends
    assert await reader.resolve([STREAM], "earliest") == dict.fromkeys(ends, 0)
    start = {(STREAM, 0): 1}
    assert await reader.resolve([STREAM], start) == dict.fromkeys(ends, 0) | start
    tail = reader.tail([STREAM], start)
    assert payloads_of(await tail.next()) == [b"1", b"5"]
    tail.close()
    assert await tail.next() == ()


async def test_a_long_history_is_merged_though_partitions_differ(store, reader):
    """More batches than one plan holds, and most of them in one partition."""
    count = 0
    for number in range(300):
        runs = [numbered(number, 1)]
        if number % 90 == 0:
            runs.append(numbered(number, 2, partition=2))
        count += sum(map(len, runs))
        await store.append(runs)
    for own in (reader, store):
        batches = await take(own.tail([STREAM], "earliest"), count)
        assert_in_merge_order(batches)
        assert len(set(records_of(batches))) == count


async def test_large_reads_let_the_loop_go_round(store, monkeypatch):
    monkeypatch.setattr(reader_module, "RECORDS_DECODED_AT_ONCE", 10)
    for number in range(5):
        await store.append([numbered(20 * number, 20)])
    rounds = 0
    fetching = asyncio.ensure_future(store.fetch(STREAM, 0, 0))
    while not fetching.done():
        rounds += 1
        await asyncio.sleep(0)
    assert rounds > 5
    assert len(payloads_of((await fetching).batches)) == 100


async def damage(store, offset):
    connection = store._committer._connection
    await connection.execute_fetchall(
        "UPDATE batches SET body = zeroblob(length(body)) WHERE base_offset = ?", (offset,)
    )


async def test_a_damaged_batch_is_stepped_over_by_everybody(store, reader):
    for number in range(4):
        await store.append([numbered(5 * number, 5)])
    await damage(store, 5)
    gap = Gap(STREAM, 0, 5, 10, "damaged")
    expected = [*range(5), *range(10, 20)]
    chunk = await store.fetch(STREAM, 0, 2)
    assert [int(p) for p in payloads_of(chunk.batches)] == expected[2:]
    assert chunk.gaps == [gap]
    tail = reader.tail([STREAM], "earliest")
    assert [int(p) for p in payloads_of(await take(tail, 15))] == expected
    assert tail.gaps == [gap]


async def test_a_log_that_ends_in_damage_has_an_end(store):
    await store.append([numbered(0, 5)])
    await damage(store, 0)
    chunk = await store.fetch(STREAM, 0, 0)
    assert (chunk.batches, chunk.next_offset) == ([], 5)
    assert chunk.gaps == [Gap(STREAM, 0, 0, 5, "damaged")]


async def test_a_moment_in_a_damaged_batch_is_its_start(store):
    for number in range(3):
        await store.append([numbered(5 * number, 5, arrival_ms=number)])
    await damage(store, 5)
    assert await store.offset_at(STREAM, 0, 1) == 5


async def test_a_batch_that_goes_while_it_is_looked_up_is_no_error(store, monkeypatch):
    await store.append([numbered(0, 5)])

    async def load_nothing(ids):
        return {}

    monkeypatch.setattr(store, "load", load_nothing)
    assert await store.offset_at(STREAM, 0, 0) == 0


async def test_a_tail_over_a_damaged_stretch_goes_on_behind_it(tmp_path):
    options = StoreOptions(tmp_path / "other", tail_bytes_max=1)
    store = await open_store(options, ManualClock())
    await store.ensure(StreamSpec(STREAM, 1))
    for number in range(200):
        await store.append([numbered(number, 1)])
        if number < 150:
            await damage(store, number)
    tail = store.tail([STREAM], "earliest")
    assert payloads_of(await tail.next())[0] == b"150"
    assert [gap.start_offset for gap in tail.gaps] == list(range(150))
    await store.close()


async def test_nothing_to_read_from_is_nothing_read(store):
    merged = await store.read_merged({}, reader_module.Allowance(1, 1))
    assert (merged.batches, merged.has_more) == ([], False)


async def test_a_closed_reader_says_so(reader):
    await reader.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await reader.streams()


@pytest.fixture
def public_dir():
    """A directory that any user may read and nobody but its owner may write."""
    path = Path(tempfile.mkdtemp(prefix="penstock-reader-"))
    yield path
    path.chmod(0o755)
    shutil.rmtree(path)


def read_as_somebody_else(data_dir):
    """Read in a process that has no right to write anything there."""
    for file in data_dir.iterdir():
        file.chmod(0o444)
    data_dir.chmod(0o555)
    command = [sys.executable, "-c", READ_ALL, str(data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


async def test_a_stopped_log_is_read_without_any_right_to_write(public_dir):
    store = await open_store(StoreOptions(public_dir), ManualClock())
    await store.ensure(StreamSpec(STREAM, 1))
    await store.append([numbered(0, 3)])
    await store.close()
    before = {file.name for file in public_dir.iterdir()}
    assert read_as_somebody_else(public_dir) == ["0", "1", "2"]
    assert {file.name for file in public_dir.iterdir()} == before


async def test_a_killed_log_is_read_with_its_wal_without_any_right_to_write(
    public_dir, store, tmp_path
):
    """The files as a kill leaves them: copied while the gateway has them open."""
    await store.append([a_run(b"7", b"8")])
    for name in ("penstock.db", "penstock.db-wal", "penstock.db-shm"):
        shutil.copy(tmp_path / name, public_dir / name)
    assert read_as_somebody_else(public_dir) == ["7", "8"]
