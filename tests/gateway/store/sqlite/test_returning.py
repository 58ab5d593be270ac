import errno
import shutil
import sqlite3
from contextlib import closing

import orjson
import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreError, StoreInUse
from gateway.store import StoreOptions, StreamSpec, audit_log, open_store, verify_log
from gateway.store.sqlite import damage, returning
from gateway.store.sqlite.returning import bring_back
from tests.gateway.store.building import BASE_MS, STREAM, everything, numbered

BATCHES = 150
SPEC = StreamSpec(STREAM, 2, retention_age_ms=None)


async def opened(data_dir):
    store = await open_store(StoreOptions(data_dir), ManualClock(BASE_MS))
    await store.ensure(SPEC)
    return store


def damage_it(data_dir):
    """Break one batch in the middle, so that a small log is found to be damaged."""
    with closing(sqlite3.connect(data_dir / "penstock.db")) as connection, connection:
        connection.execute("UPDATE batches SET payload_bytes = 1 WHERE base_offset = 50")


@pytest.fixture
def full_disk(monkeypatch):
    """A disk that has no room for a second log."""
    original = damage.rebuild

    def rebuild(*arguments, keeps_records):
        if keeps_records:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*arguments, keeps_records=keeps_records)

    monkeypatch.setattr(damage, "rebuild", rebuild)


@pytest.fixture
async def log(tmp_path, full_disk):
    """A damaged log whose records were left aside, and that has taken ten more since."""
    store = await opened(tmp_path)
    for number in range(BATCHES):
        await store.append([numbered(10 * number, 10, partition=number % 2)])
    await store.commit_group("readers", 1, offsets={(STREAM, 0): 100})
    await store.close()
    damage_it(tmp_path)
    store = await opened(tmp_path)
    await store.append([numbered(9_000, 10)])
    await store.close()
    return tmp_path


async def offsets_of(data_dir, partition):
    store = await opened(data_dir)
    found = [record.offset for record in await everything(store, partition=partition)]
    (report,) = [orjson.loads(value) for _, value in await store.entries("damage")]
    await store.close()
    return found, report


async def test_a_gateway_starts_without_room_for_the_records(log):
    found, report = await offsets_of(log, 0)
    assert len(found) == 10
    assert found[0] >= BATCHES * 5
    assert (log / report["records_left_in"]).exists()
    assert verify_log(log)["faults"] == []
    assert audit_log(log)["balanced"]
    store = await opened(log)
    (group,) = await store.groups()
    assert group.offsets[STREAM, 0] == 100
    await store.close()


async def test_what_was_left_aside_is_brought_back_to_where_it_was(log):
    since, _ = await offsets_of(log, 0)
    ((file, batches, records),) = bring_back(log)
    assert (batches, records) == (BATCHES - 2, 10 * (BATCHES - 2))
    assert file.startswith("penstock.db.damaged-")
    for partition in (0, 1):
        found, report = await offsets_of(log, partition)
        lost = set(range(50, 60))
        before = [own for own in range(BATCHES * 5) if own not in lost]
        assert found == before + (since if partition == 0 else [])
        assert "records_left_in" not in report
    assert verify_log(log)["faults"] == []
    assert audit_log(log)["balanced"]
    assert bring_back(log) == []


async def test_it_goes_on_where_it_was_interrupted(log, monkeypatch):
    monkeypatch.setattr(returning, "BATCHES_AT_ONCE", 20)
    original, calls = returning.give, []

    def give(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise sqlite3.OperationalError("database or disk is full")
        original(*arguments)

    monkeypatch.setattr(returning, "give", give)
    with pytest.raises(StoreError, match="no room"):
        bring_back(log)
    assert verify_log(log)["faults"] == []
    assert audit_log(log)["balanced"]
    bring_back(log)
    found, _ = await offsets_of(log, 1)
    assert len(found) == 10 * (BATCHES // 2 - 1)
    assert verify_log(log)["faults"] == []


async def test_a_file_that_is_gone_and_a_directory_in_use_are_errors(log):
    store = await opened(log)
    with pytest.raises(StoreInUse):
        bring_back(log)
    await store.close()
    for path in log.glob("*.damaged-*"):
        shutil.move(path, path.with_suffix(".elsewhere"))
    with pytest.raises(StoreError, match="is gone"):
        bring_back(log)
