import asyncio
import contextlib
import random
import shutil
import sqlite3
from contextlib import closing

import orjson
import pytest

from gateway.clock import ManualClock, boot_id
from gateway.errors import StoreDamaged, StoreError
from gateway.store import DAY_MS, Put, StoreOptions, StreamSpec, open_store
from gateway.store.sqlite import damage
from gateway.store.sqlite.damage import find_damage, finish_exchange, mend
from gateway.store.sqlite.schema import FORMAT_VERSION
from gateway.store.sqlite.wal import read_index
from tests.gateway.store.building import BASE_MS, STREAM, numbered
from tests.harness.waiting import until

PARTITIONS = 2
BATCHES = 24
RECORDS = 30
FLIPS = 60
SPEC = StreamSpec(STREAM, PARTITIONS, retention_age_ms=None)
FEW = 3
SEED = 20_261_123
NOW_MS = BASE_MS + DAY_MS


async def write_log(data_dir, *, is_settled):
    """A log with some of everything; returns its files as a kill (or a clean stop) leaves them."""
    store = await open_store(StoreOptions(data_dir), ManualClock(NOW_MS))
    await store.ensure(SPEC)
    await store.ensure(StreamSpec("alerts", 1))
    rng = random.Random(SEED)
    for batch in range(BATCHES):
        size = 9000 if batch % 8 == 0 else 10
        for partition in range(PARTITIONS):
            run = numbered(batch * RECORDS, RECORDS, partition=partition)
            run.payloads[0] += b" " + rng.randbytes(size)
            await store.append([run], [Put("sessions", f"client-{batch}", rng.randbytes(200))])
    member = store.join("rules", [STREAM])
    await member.poll()
    await member.commit(offsets={(STREAM, 0): 60, (STREAM, 1): 30})
    if is_settled:
        await store.close()
    files = {path.name: path.read_bytes() for path in data_dir.iterdir() if path.suffix != ".lock"}
    if not is_settled:
        await store.close()
    return files


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    return {
        state: asyncio.run(write_log(tmp_path_factory.mktemp(state), is_settled=state == "settled"))
        for state in ("settled", "killed")
    }


async def check_damaged(data_dir, original, *, lost_max):
    """Start on a damaged log; see that all but a few batches are served and gaps say which."""
    store = await open_store(StoreOptions(data_dir), ManualClock(NOW_MS))
    try:
        await store.ensure(SPEC)
        lost = 0
        for partition in range(PARTITIONS):
            found, gaps = await read_all(store, partition)
            assert found.keys() <= original[partition].keys()
            assert all(original[partition][offset] == own for offset, own in found.items())
            start = (await store.bounds(STREAM, partition)).log_start_offset
            if start == NOW_MS:
                # Nothing said any more that there was such a stream.
                assert lost_max > FEW
                continue
            missing = original[partition].keys() - found.keys()
            assert all(any(offset in gap for gap in gaps) for offset in missing)
            assert not any(offset in gap for gap in gaps for offset in found)
            lost += len(missing)
            end = (await store.bounds(STREAM, partition)).log_end_offset
            assert end >= BATCHES * RECORDS
            (base,) = (await store.append([numbered(0, 1, partition=partition)])).base_offsets
            assert base >= BATCHES * RECORDS
        assert lost <= lost_max * RECORDS, f"{lost} records are lost"
        return lost
    finally:
        await store.close()


async def read_all(reader, partition):
    offset, end = await reader.bounds(STREAM, partition)
    found, gaps = {}, []
    while offset < end:
        chunk = await reader.fetch(STREAM, partition, offset)
        assert chunk.next_offset > offset
        for batch in chunk.batches:
            found |= {record.offset: record.payload for record in batch.records()}
        gaps += [range(gap.start_offset, gap.stop_offset) for gap in chunk.gaps]
        offset = chunk.next_offset
    return found, gaps


async def read_if_whole(store):
    try:
        return await read_all(store, 0)
    except StoreError:
        return None


def put_files(data_dir, files):
    shutil.rmtree(data_dir, ignore_errors=True)
    data_dir.mkdir()
    # As after a kill: the machine has not been off.
    (data_dir / "penstock.lock").write_text(f"1\n{boot_id()}\n")
    for name, content in files.items():
        (data_dir / name).write_bytes(content)


def original_payloads():
    rng = random.Random(SEED)
    original = [{}, {}]
    for batch in range(BATCHES):
        size = 9000 if batch % 8 == 0 else 10
        for partition in range(PARTITIONS):
            run = numbered(batch * RECORDS, RECORDS)
            run.payloads[0] += b" " + rng.randbytes(size)
            rng.randbytes(200)
            for number, payload in enumerate(run.payloads):
                original[partition][batch * RECORDS + number] = payload
    return original


@pytest.mark.parametrize(
    ("state", "name"),
    [("settled", "penstock.db"), ("killed", "penstock.db"), ("killed", "penstock.db-wal")],
)
async def test_a_flipped_byte_costs_few_batches(tmp_path, logs, state, name):
    original = original_payloads()
    rng = random.Random(SEED)
    data_dir = tmp_path / "log"
    for turn in range(FLIPS):
        files = dict(logs[state])
        at = rng.randrange(len(files[name]))
        damaged = bytearray(files[name])
        damaged[at] ^= 1 << rng.randrange(8)
        put_files(data_dir, files | {name: bytes(damaged)})
        try:
            await check_damaged(data_dir, original, lost_max=FEW)
        except BaseException as error:
            error.add_note(f"turn {turn}: {state} {name} byte {at}")
            raise


@pytest.mark.parametrize(
    ("state", "name"),
    [("settled", "penstock.db"), ("killed", "penstock.db-wal")],
)
async def test_a_file_that_ends_early_costs_what_is_missing(tmp_path, logs, state, name):
    original = original_payloads()
    rng = random.Random(SEED)
    data_dir = tmp_path / "log"
    for turn in range(FLIPS):
        files = dict(logs[state])
        size = rng.randrange(1, len(files[name]))
        put_files(data_dir, files | {name: files[name][:size]})
        try:
            await check_damaged(data_dir, original, lost_max=PARTITIONS * BATCHES)
        except BaseException as error:
            error.add_note(f"turn {turn}: {state} {name} cut at {size}")
            raise


async def test_what_is_set_aside_is_kept_and_the_report_is_in_the_log(tmp_path, logs):
    data_dir = tmp_path / "log"
    files = logs["settled"]
    put_files(data_dir, files | {"penstock.db": files["penstock.db"][:-5000]})
    store = await open_store(StoreOptions(data_dir), ManualClock(NOW_MS))
    ((_, report),) = await store.table("damage").items()
    await store.close()
    kept = data_dir / orjson.loads(report)["set_aside"]
    assert kept.read_bytes() == files["penstock.db"][:-5000]


async def test_tables_and_groups_are_saved_too(tmp_path, logs):
    data_dir = tmp_path / "log"
    files = logs["killed"]
    header = bytes([files["penstock.db-wal"][0] ^ 1]) + files["penstock.db-wal"][1:]
    put_files(data_dir, files | {"penstock.db-wal": header})
    store = await open_store(StoreOptions(data_dir), ManualClock(NOW_MS))
    assert len(await store.table("sessions").items()) == BATCHES
    member = store.join("rules", [STREAM])
    assert {batch.base_offset for batch in await member.poll()} == {
        *range(60, BATCHES * RECORDS, RECORDS),
        30,
    }
    await store.close()


def test_a_sound_log_is_left_alone(tmp_path, logs):
    for files in logs.values():
        put_files(tmp_path / "log", files)
        assert mend(tmp_path / "log" / "penstock.db", NOW_MS) is None


@pytest.mark.parametrize("version", [1, FORMAT_VERSION + 1, FORMAT_VERSION + 64])
def test_a_broken_version_is_told_from_a_later_one_by_its_copy(tmp_path, logs, version):
    path = tmp_path / "log" / "penstock.db"
    put_files(path.parent, logs["settled"])
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    assert "version" in mend(path, NOW_MS)
    assert find_damage(path, b"") is None


def test_a_later_program_may_keep_its_copy_otherwise(tmp_path, logs):
    path = tmp_path / "log" / "penstock.db"
    for change in (
        "DELETE FROM meta WHERE name = 'layout'",
        "UPDATE meta SET value = 'in another way' WHERE name = 'layout'",
    ):
        put_files(path.parent, logs["settled"])
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(change)
            connection.execute(f"PRAGMA user_version = {FORMAT_VERSION + 1}")
        assert find_damage(path, b"") is None


def test_a_page_that_a_power_cut_tore_while_it_was_moved_is_no_damage(tmp_path, logs):
    path = tmp_path / "log" / "penstock.db"
    files = logs["killed"]
    torn = files["penstock.db"] + bytes(700)
    page = len(files["penstock.db"]) // 4096 + 1
    assert page in wal_pages(files["penstock.db-wal"])
    put_files(path.parent, files | {"penstock.db": torn})
    assert find_damage(path, read_index(path)) is None


def wal_pages(wal):
    return {int.from_bytes(wal[at : at + 4], "big") for at in range(32, len(wal), 4096 + 24)}


def test_the_index_of_the_wal_counts_only_while_the_machine_runs(tmp_path, logs):
    path = tmp_path / "log" / "penstock.db"
    files = logs["killed"]
    files = files | {"penstock.db-wal": files["penstock.db-wal"][: -4096 * 3]}
    put_files(path.parent, files)
    assert mend(path, NOW_MS, trusts_index=False) is None
    put_files(path.parent, files)
    assert "WAL" in mend(path, NOW_MS)


def test_the_database_of_another_program_is_left_alone(tmp_path):
    path = tmp_path / "penstock.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE photographs (id)")
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    assert find_damage(path, read_index(path)) is None


@pytest.mark.parametrize("moved", [False, True])
def test_an_exchange_that_a_crash_has_interrupted_is_finished(tmp_path, moved):
    path = tmp_path / "penstock.db"
    path.with_name("penstock.db.rebuilt").write_bytes(b"new")
    path.with_name("penstock.db-wal").write_bytes(b"old wal")
    aside = "penstock.db.damaged-20231115T221320Z"
    path.with_name(aside if moved else path.name).write_bytes(b"old")
    finish_exchange(path)
    assert path.read_bytes() == (b"new" if moved else b"old")
    names = {own.name for own in tmp_path.iterdir()}
    assert (f"{aside}-wal" in names) is moved
    assert not any("rebuilt" in name for name in names)


async def test_a_page_that_breaks_under_an_open_log_is_mended(tmp_path, logs, monkeypatch):
    data_dir = tmp_path / "log"
    put_files(data_dir, logs["settled"])
    monkeypatch.setattr(damage, "find_damage", lambda path, index: None)
    pages = bytearray(logs["settled"]["penstock.db"])
    with closing(sqlite3.connect(data_dir / "penstock.db")) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'batches'"
        ).fetchone()
    # The first child of the batches' tree: old records, which a start doesn't look at.
    start = (root - 1) * 4096
    pointer = int.from_bytes(pages[start + 12 : start + 14], "big")
    child = int.from_bytes(pages[start + pointer : start + pointer + 4], "big")
    pages[(child - 1) * 4096] ^= 0xFF
    (data_dir / "penstock.db").write_bytes(bytes(pages))
    store = await open_store(StoreOptions(data_dir), ManualClock(NOW_MS))
    try:
        with contextlib.suppress(StoreDamaged):
            # Whether the start or the first reader meets the page depends on where it lies.
            await store.fetch(STREAM, 0, 0)
        found, gaps = await until(lambda: read_if_whole(store), "the log to be mended")
        # One page holds the small batches of a few commits.
        assert len(found) >= (BATCHES - 8) * RECORDS
        assert gaps
    finally:
        await store.close()
