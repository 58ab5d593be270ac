import sqlite3
from contextlib import closing

import orjson
import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreDamaged, StoreError
from gateway.store import StoreOptions, StreamSpec, audit_log, open_store, verify_log
from gateway.store.sqlite.pages import PAGE_BYTES
from gateway.store.sqlite.schema import DATABASE_NAME, FENCE_COMMITS
from gateway.store.sqlite.scrubbing import STEP_BYTES, scrub
from tests.gateway.store.building import BASE_MS, STREAM, a_run, everything
from tests.harness.waiting import until

COMMITS = 3 * FENCE_COMMITS
PAYLOAD = bytes(range(256)) * 32


def noisy(number):
    """A payload of 8 KiB that compresses badly."""
    return b"".join(
        (number * 1_000 + own).to_bytes(4, "big") + PAYLOAD[own : own + 4] for own in range(1024)
    )


async def open_filled(data_dir):
    store = await open_store(StoreOptions(data_dir), ManualClock(BASE_MS))
    await store.ensure(StreamSpec(STREAM, 1, retention_age_ms=None))
    for number in range(COMMITS):
        await store.append([a_run(noisy(number))])
    return store


def change(data_dir, sql):
    with closing(sqlite3.connect(data_dir / DATABASE_NAME, isolation_level=None)) as connection:
        connection.execute(sql)


def break_late_page(data_dir):
    """Break the page of the batches' tree that has the 150th batch in it, in the main file."""
    path = data_dir / DATABASE_NAME
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((root,),) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'batches'"
        ).fetchall()
    content = bytearray(path.read_bytes())
    number = root
    while content[(number - 1) * PAGE_BYTES] == 0x05:
        start = (number - 1) * PAGE_BYTES
        count = int.from_bytes(content[start + 3 : start + 5], "big")
        cell = start + 12 + 2 * (count * 3 // 4)
        pointer = int.from_bytes(content[cell : cell + 2], "big")
        number = int.from_bytes(content[start + pointer : start + pointer + 4], "big")
    assert number != root
    start = (number - 1) * PAGE_BYTES
    content[start : start + 64] = bytes([0xEE]) * 64
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content[start : start + 64])


async def test_a_sound_log_is_read_in_steps_to_its_end(tmp_path):
    store = await open_filled(tmp_path)
    position, steps = 0, 0
    while True:
        found = await store.scrub_step(position)
        assert not found.damaged
        assert found.position > position or found.position == 0
        position, steps = found.position, steps + 1
        if position == 0:
            break
    size_bytes = (await store.extents(STREAM))[0].stored_bytes
    assert steps == 1 + size_bytes // STEP_BYTES
    assert found.file_bytes > 0
    await store.close()


async def test_a_damaged_batch_is_reported_once_and_explained_ever_after(tmp_path):
    store = await open_filled(tmp_path)
    change(tmp_path, "UPDATE batches SET body = zeroblob(50) WHERE base_offset IN (40, 191)")
    position, damaged = 0, []
    for _ in range(2):
        while True:
            found = await store.scrub_step(position)
            damaged += found.damaged
            position = found.position
            if not position:
                break
    assert [str(own) for own in damaged] == [f"{STREAM}/0 40 to 40", f"{STREAM}/0 191 to 191"]
    reports = [orjson.loads(report) for _, report in await store.entries("damage")]
    assert sum(report["batches_damaged"] for report in reports) == 2
    assert len(await everything(store)) == COMMITS - 2
    await store.close()
    assert verify_log(tmp_path)["sound"], verify_log(tmp_path)["faults"]
    (account,) = audit_log(tmp_path)["streams"]
    assert (account["accepted"], account["damaged"], account["unaccounted"]) == (COMMITS, 2, 0)


async def test_a_late_break_is_mended_while_the_log_is_open(tmp_path):
    store = await open_filled(tmp_path)
    try:
        break_late_page(tmp_path)
        position = 0
        with pytest.raises(StoreDamaged):
            while True:
                position = (await store.scrub_step(position)).position
                assert position
        found = await until(lambda: all_read(store), "the log to be mended")
        offsets = [record.offset for record in found]
        assert COMMITS - 80 < len(offsets) < COMMITS
        assert all(record.payload == noisy(record.offset) for record in found)
        # The end is known: offsets go on where they were.
        (base,) = await until(lambda: appended(store), "the store to take records again")
        assert base == COMMITS
        assert not (await store.scrub_step(0)).damaged
    finally:
        await store.close()
    assert audit_log(tmp_path)["balanced"], audit_log(tmp_path)["breaks"]


async def appended(store):
    """Where one more record lies; None while the store still refuses."""
    try:
        return (await store.append([a_run(b"more")])).base_offsets
    except StoreError:
        return None


async def all_read(store):
    try:
        if not await store.entries("damage"):
            return None
        return await everything(store)
    except StoreError:
        return None


async def test_tables_that_disagree_with_their_copy_are_damage(tmp_path):
    await (await open_filled(tmp_path)).close()
    change(tmp_path, "UPDATE partitions SET number = 7")
    with pytest.raises(StoreDamaged, match="not those of their copy"):
        scrub(tmp_path / DATABASE_NAME, 1 << 60)
