import random
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable
from gateway.store import StoreOptions, StreamSpec, audit_log, open_reader, open_store, verify_log
from gateway.store.sqlite import compactor as compactor_module
from gateway.store.sqlite.compactor import ROWS_A_STEP, choose
from gateway.store.sqlite.planning import PlannedBatch
from gateway.store.sqlite.schema import DATABASE_NAME, FENCE_COMMITS
from tests.gateway.store.building import BASE_MS, STREAM, everything, numbered, records_of
from tests.gateway.store.compaction_contract import (
    FOREVER_MS,
    LATEST,
    LATEST_SPEC,
    compact,
    last_values,
    readings,
)

DAY_MS = 86_400_000
ONE_PARTITION = StreamSpec(LATEST, 1, retention_age_ms=None, compact_by="device")


async def opened(directory, clock, *specs):
    store = await open_store(StoreOptions(directory), clock)
    for spec in specs:
        await store.ensure(spec)
    return store


def assert_sound(directory):
    verdict = verify_log(directory)
    assert verdict["sound"], verdict["faults"]
    assert audit_log(directory)["balanced"]


async def test_a_tombstone_goes_after_its_grace_and_its_key_with_it(tmp_path):
    clock = ManualClock(BASE_MS)
    store = await opened(tmp_path, clock, ONE_PARTITION)
    for payload in (b"1", b"2", b""):
        await store.append([readings(("pump-1", payload))])
    await store.append([readings(("filler", b"1"))])
    await compact(store)
    assert [own.payload for own in await everything(store, LATEST)] == [b"", b"1"]
    clock.advance(DAY_MS + 1)
    clock.doubt()
    await compact(store)
    assert len(await everything(store, LATEST)) == 2
    clock.doubt(is_right=True)
    # Nothing new came: it is the tombstone's age that is worth a pass, without being asked.
    while await store.compact_step():
        pass
    assert [own.device for own in await everything(store, LATEST)] == ["filler"]
    await store.close()
    assert_sound(tmp_path)


async def test_unasked_a_pass_is_made_only_when_it_is_worth_it(tmp_path, monkeypatch):
    monkeypatch.setattr(compactor_module, "DIRTY_LEAST", 10)
    store = await opened(tmp_path, ManualClock(BASE_MS), ONE_PARTITION)
    for turn in range(10):
        await store.append([readings((f"pump-{turn % 2}", b"%d" % turn))])
    assert await store.compact_step() == 0
    await store.append([readings(("pump-0", b"last"))])
    while await store.compact_step():
        pass
    assert len(await everything(store, LATEST)) == 2
    await store.close()


async def test_one_step_looks_at_a_few_batches_only():
    planned = [
        PlannedBatch(n, (LATEST, 0), n, n + 1, 1, size, 0, 10, 0)
        for n, size in enumerate([compactor_module.BYTES_A_STEP, 1] + [1] * 40)
    ]
    assert [own.id for own in choose(planned, 100)] == [0]
    assert len(choose(planned[1:], 100)) == ROWS_A_STEP
    assert [own.id for own in choose(planned[1:], 3)] == [1, 2]


async def test_more_keys_than_a_pass_remembers_are_left_to_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(compactor_module, "KEYS_MAX", 10)
    monkeypatch.setattr(compactor_module, "RECORDS_A_STEP", 5)
    store = await opened(tmp_path, ManualClock(BASE_MS), ONE_PARTITION)
    for turn in range(100):
        await store.append([readings((f"pump-{turn % 25}", b"%d" % turn))])
    before = await everything(store, LATEST)
    await compact(store)
    after = await everything(store, LATEST)
    assert last_values(after) == last_values(before)
    assert len(after) == 25
    await store.close()


async def test_batches_that_lie_behind_a_removed_fence_are_still_found(tmp_path):
    """The log spans several fences, some of which compaction removes."""
    store = await opened(tmp_path, ManualClock(BASE_MS), ONE_PARTITION, StreamSpec(STREAM, 1))
    for turn in range(4 * FENCE_COMMITS):
        own = readings((f"pump-{turn % 3 + (turn > 200)}", b"%d" % turn))
        await store.append([own] if turn % 5 else [numbered(turn, 1, stream=STREAM)])
    await compact(store)
    left = await everything(store, LATEST)
    start, end = await store.bounds(LATEST, 0)
    for offset in range(start, end):
        chunk = await store.fetch(LATEST, 0, offset)
        assert records_of(chunk.batches) == [one for one in left if one.offset >= offset]
    assert len(left) <= 6
    await store.close()
    assert_sound(tmp_path)


async def test_a_damaged_batch_stays_a_gap_and_its_neighbours_are_compacted(tmp_path):
    clock = ManualClock(BASE_MS)
    store = await opened(tmp_path, clock, ONE_PARTITION)
    for turn in range(20):
        await store.append([readings((f"pump-{turn % 2}", b"%d" % turn))])
    await store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME, isolation_level=None)) as connection:
        connection.execute("UPDATE batches SET body = x'00' WHERE base_offset = 9")
    store = await open_store(StoreOptions(tmp_path), clock)
    specs = await store.streams()
    assert [spec.name for spec in specs] == [LATEST]
    await compact(store)
    chunk = await store.fetch(LATEST, 0, 0)
    assert [own.offset for own in records_of(chunk.batches)][-2:] == [18, 19]
    assert not any(own.cause == "removed" for own in chunk.gaps)
    await store.close()


async def test_a_reader_whose_plan_is_outdated_looks_again(tmp_path):
    store = await opened(tmp_path, ManualClock(BASE_MS), ONE_PARTITION)
    for turn in range(30):
        await store.append([readings((f"pump-{turn % 2}", b"%d" % turn))])
    reader = await open_reader(tmp_path)
    load = reader.load

    async def load_late(ids):
        await compact(store)
        return await load(ids)

    reader.load = load_late
    chunk = await reader.fetch(LATEST, 0, 0)
    assert [own.payload for own in records_of(chunk.batches)] == [b"28", b"29"]
    assert (chunk.gaps, chunk.next_offset) == ([], 30)
    await reader.close()
    await store.close()


async def test_a_pass_that_the_disk_refused_begins_anew(tmp_path, monkeypatch):
    store = await opened(tmp_path, ManualClock(BASE_MS), ONE_PARTITION)
    for turn in range(40):
        await store.append([readings((f"pump-{turn % 2}", b"%d" % turn))])

    async def refuse(statements):
        raise StoreUnavailable("no")

    change = store.change
    monkeypatch.setattr(store, "change", refuse)
    with pytest.raises(StoreUnavailable):
        await compact(store)
    monkeypatch.setattr(store, "change", change)
    await compact(store)
    assert [own.payload for own in await everything(store, LATEST)] == [b"38", b"39"]
    await store.close()
    assert_sound(tmp_path)


class History:
    """Appends, compaction steps, time and restarts in any order, beside a plain list."""

    def __init__(self, seed, directory):
        self.rng = random.Random(seed)
        self.clock = ManualClock(BASE_MS)
        self.directory = directory
        self.spec = self.rng.choice([LATEST_SPEC, ONE_PARTITION])
        self.model = []
        self.turns = [self.append] * 14 + [self.compact] * 4 + [self.pass_time, self.restart]

    async def play(self):
        self.store = await opened(self.directory, self.clock, self.spec)
        for _ in range(self.rng.randrange(10, 120)):
            await self.rng.choice(self.turns)()
        return await everything(self.store, LATEST)

    async def append(self):
        pairs = [
            (f"pump-{self.rng.randrange(6)}", self.rng.choice([b"", b"%d" % number]))
            for number in range(self.rng.randrange(1, 6))
        ]
        run = readings(*pairs, arrival_ms=self.clock.now_ms())
        assert (await self.store.append([run])).base_offsets[0] == len(self.model)
        self.model += pairs

    async def compact(self):
        for _ in range(self.rng.randrange(4)):
            await self.store.compact_step(LATEST)

    async def pass_time(self):
        self.clock.advance(self.rng.choice([1000, DAY_MS]))

    async def restart(self):
        await self.store.close()
        self.store = await open_store(StoreOptions(self.directory), self.clock)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1 << 30))
async def test_any_history_keeps_what_a_full_replay_ends_with(seed):
    with tempfile.TemporaryDirectory() as name:
        history = History(seed, Path(name))
        records = await history.play()
        assert sorted({own.offset for own in records}) == [own.offset for own in records]
        assert all(history.model[own.offset] == (own.device, own.payload) for own in records)
        ends = dict(history.model)
        assert last_values(records) == {device: own for device, own in ends.items() if own}
        if history.spec.tombstones_ms == FOREVER_MS:
            assert {own.device for own in records} == set(ends)
        assert (await history.store.bounds(LATEST, 0)).log_end_offset == len(history.model)
        await history.store.close()
        assert_sound(Path(name))
