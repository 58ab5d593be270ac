import asyncio
import io
import json
import sqlite3
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.clock import ManualClock
from gateway.errors import (
    OffsetOutOfRange,
    StoreInUse,
    StoreTooNew,
    StoreUnavailable,
    StreamInvalid,
)
from gateway.events import Record
from gateway.store import Put, Scan, StoreOptions, StreamSpec, batch_format, open_store
from gateway.store.sqlite.connections import close_quietly, connect_writer
from tests.gateway.store.building import STREAM, a_run, everything, numbered, records_of, take
from tests.gateway.store.contract import StoreContract


class TestSqliteStore(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path):
        options = StoreOptions(tmp_path, tail_bytes_max=1 << 16)
        store = await open_store(options, ManualClock())
        yield store
        await store.close()


class TestSqliteStoreWithSmallMemory(StoreContract):
    """Tails fall behind at once, so that everything is read from disk."""

    @pytest.fixture
    async def store(self, tmp_path):
        options = StoreOptions(tmp_path, tail_bytes_max=1, commit_bytes_max=200)
        store = await open_store(options, ManualClock())
        yield store
        await store.close()


async def test_a_second_gateway_is_refused_and_disturbs_nothing(tmp_path):
    store = await open_store(StoreOptions(tmp_path), ManualClock())
    with pytest.raises(StoreInUse, match="process id"):
        await open_store(StoreOptions(tmp_path), ManualClock())
    await store.ensure(StreamSpec(STREAM))
    await store.close()


async def test_a_refused_directory_is_not_kept_locked(tmp_path):
    connection = await connect_writer(tmp_path / "penstock.db")
    await connection.execute_fetchall("PRAGMA user_version = 999")
    await close_quietly(connection)
    for _ in range(2):
        with pytest.raises(StoreTooNew):
            await open_store(StoreOptions(tmp_path), ManualClock())


async def test_closing_twice_is_closing_once(tmp_path):
    store = await open_store(StoreOptions(tmp_path), ManualClock())
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.ensure(StreamSpec(STREAM))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (StreamSpec(""), "name ''"),
        (StreamSpec("a\nb"), "printable"),
        (StreamSpec("x" * 201), "1 to 200"),
        (StreamSpec("a", 0), "0 partitions"),
        (StreamSpec("a", 257), "use 1 to 256"),
        (
            StreamSpec("a", durability="tape"),
            "durability 'tape'; this engine has: fsync, memory, os",
        ),
        (
            StreamSpec("a", durability="memory", compact_by="device", retention_age_ms=None),
            "durability can't be 'memory'",
        ),
    ],
)
async def test_a_stream_that_can_not_be_is_refused(tmp_path, spec, message):
    store = await open_store(StoreOptions(tmp_path), ManualClock())
    with pytest.raises(StreamInvalid, match=message):
        await store.ensure(spec)
    await store.close()


async def test_partitions_of_all_streams_are_bounded(tmp_path):
    store = await open_store(StoreOptions(tmp_path), ManualClock())
    await store.ensure(StreamSpec("a", 256))
    with pytest.raises(StreamInvalid, match="to 456; at most 400"):
        await store.ensure(StreamSpec("b", 200))
    await store.ensure(StreamSpec("b", 144))
    await store.append(
        [a_run(b"x", stream="a", partition=255), a_run(b"y", stream="b", partition=143)]
    )
    assert len(await take(store.tail(["a", "b"], {("a", 0): 0}), 2)) == 2
    await store.close()


async def test_two_that_ensure_at_once_create_a_stream_once(tmp_path):
    store = await open_store(StoreOptions(tmp_path), ManualClock())
    await asyncio.gather(*(store.ensure(StreamSpec(STREAM, 2)) for _ in range(3)))
    assert await store.streams() == [StreamSpec(STREAM, 2)]
    await store.close()


def read_by_hand(path):
    """Every record of the log, with nothing but what docs/format.md says."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    rows = database.execute(
        "SELECT stream, partition, base_offset, body FROM batches "
        "JOIN partitions ON number = partition_number ORDER BY id"
    ).fetchall()
    database.close()
    for stream, partition, offset, body in rows:
        content = io.BytesIO(batch_format.zstd.decompress(body))
        assert content.read(1) == b"\x01"
        header = json.loads(content.read(int.from_bytes(content.read(4), "little")))
        count = sum(run[2] for run in header["runs"])
        assert len(header["origins"]) <= 256
        indexes, flags = content.read(count), content.read(count)
        lengths = struct.unpack(f"<{count}I", content.read(4 * count))
        properties = [b""] * count
        if header["properties"]:
            own_lengths = struct.unpack(f"<{count}I", content.read(4 * count))
            properties = [content.read(length) for length in own_lengths]
        payloads = [content.read(length) for length in lengths]
        assert content.read() == b""
        arrivals = [(run[0], run[1]) for run in header["runs"] for _ in range(run[2])]
        for number in range(count):
            topic, device = header["origins"][indexes[number]]
            client, arrival_ms = arrivals[number]
            place = (stream, partition, offset + number, arrival_ms, topic, device, client)
            yield Record(*place, payloads[number], flags[number], properties[number])


async def test_the_log_can_be_read_with_its_documentation_alone(tmp_path):
    store = await open_store(StoreOptions(tmp_path), ManualClock())
    await store.ensure(StreamSpec(STREAM, 2))
    for number in range(4):
        run = numbered(3 * number, 3, partition=number % 2, arrival_ms=number)
        run.properties = [b"", b"\x01\x01", b""] if number == 1 else None
        await store.append([run, numbered(50, 2, client="other")])
    read = [record async for record in in_merge_order(store)]
    assert list(read_by_hand(tmp_path / "penstock.db")) == read
    await store.close()


async def in_merge_order(store):
    stops = {
        (STREAM, partition): (await store.bounds(STREAM, partition))[1] for partition in (0, 1)
    }
    async for batch in Scan(store, dict.fromkeys(stops, 0), stops).batches():
        for record in batch.records():
            yield record


OPERATIONS = st.one_of(
    st.tuples(
        st.just("append"),
        st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), max_size=4),
        st.integers(0, 50),
    ),
    st.tuples(st.just("fetch"), st.integers(0, 1), st.integers(0, 60), st.integers(1, 9)),
    st.tuples(st.just("offset_at"), st.integers(0, 1), st.integers(-1, 51)),
    st.tuples(st.just("commit"), st.integers(0, 1)),
    st.tuples(st.just("retain")),
    st.tuples(st.just("restart")),
)


class Model:
    """The log as a list a partition; what retention took stays in it, below `starts`."""

    def __init__(self):
        self.records = ([], [])
        self.starts = [0, 0]
        self.committed = 0
        self.count = 0


class Run:
    """One history, on the store and on the model."""

    def __init__(self, data_dir):
        self.options = StoreOptions(data_dir, tail_bytes_max=500)
        self.model = Model()

    async def play(self, operations):
        await self.open()
        for name, *arguments in operations:
            await getattr(self, name)(*arguments)
            await self.check()
        await self.store.close()

    async def open(self):
        self.store = await open_store(self.options, ManualClock())
        await self.store.ensure(StreamSpec(STREAM, 2, retention_count=40))
        self.tail = self.store.tail([STREAM], "latest")

    async def restart(self):
        await self.store.close()
        await self.open()

    async def append(self, sizes, arrival_ms):
        runs = []
        for partition, size in sizes:
            runs.append(
                numbered(self.model.count, size, partition=partition, arrival_ms=arrival_ms)
            )
            self.model.count += size
        payloads = [list(run.payloads) for run in runs]
        appended = await self.store.append(runs)
        for (partition, _), own, base in zip(sizes, payloads, appended.base_offsets, strict=True):
            records = self.model.records[partition]
            assert base == len(records)
            moment = max([arrival_ms, *(ms for _, ms in records[-1:])])
            records += [(payload, moment) for payload in own]
        count = sum(size for _, size in sizes)
        assert len(records_of(await take(self.tail, count))) == count

    async def fetch(self, partition, offset, records_max):
        start, end = self.model.starts[partition], len(self.model.records[partition])
        if not start <= offset <= end:
            with pytest.raises(OffsetOutOfRange):
                await self.store.fetch(STREAM, partition, offset)
            return
        chunk = await self.store.fetch(STREAM, partition, offset, records_max=records_max)
        found = [(record.payload, record.arrival_ms) for record in records_of(chunk.batches)]
        assert found == self.model.records[partition][offset : offset + records_max]
        assert chunk.next_offset == offset + len(found)

    async def offset_at(self, partition, time_ms):
        records, start = self.model.records[partition], self.model.starts[partition]
        later = (n for n in range(start, len(records)) if records[n][1] >= time_ms)
        assert await self.store.offset_at(STREAM, partition, time_ms) == next(later, None)

    async def commit(self, partition):
        end = len(self.model.records[0])
        member = self.store.join("group", [STREAM])
        await member.commit(offsets={(STREAM, 0): end}, state=[Put("t", "k", b"%d" % partition)])
        self.model.committed = end

    async def retain(self):
        while await self.store.retain_step():
            pass
        for partition in (0, 1):
            start, _ = await self.store.bounds(STREAM, partition)
            assert start >= self.model.starts[partition]
            self.model.starts[partition] = start
        held = sum(map(len, self.model.records)) - sum(self.model.starts)
        assert held <= 40

    async def check(self):
        for partition in (0, 1):
            start, records = self.model.starts[partition], self.model.records[partition]
            assert await self.store.bounds(STREAM, partition) == (start, len(records))
            found = await everything(self.store, partition=partition)
            assert [(r.payload, r.arrival_ms) for r in found] == records[start:]
            assert [r.offset for r in found] == list(range(start, len(records)))
        committed = self.store._committer.catalog.committed.get("group", {})
        assert committed.get((STREAM, 0), 0) == self.model.committed


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(OPERATIONS, max_size=15))
def test_any_history_agrees_with_a_list_a_partition(operations):
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(Run(Path(directory)).play(operations))
