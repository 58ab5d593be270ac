import random
import sqlite3
from contextlib import closing

import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreFull
from gateway.store import Put, StoreOptions, StreamSpec, open_store
from gateway.store.sqlite import committer as committer_module
from gateway.store.sqlite.wal_limit import WalLimit
from tests.gateway.store.building import BASE_MS, STREAM, a_run, everything
from tests.harness.waiting import until

WAL_BYTES = 400_000
RNG = random.Random(7)


async def test_a_foreign_reader_can_not_make_the_wal_grow_without_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(committer_module, "ROOM_PAUSE_S", 0)
    options = StoreOptions(tmp_path, wal_bytes_max=WAL_BYTES)
    store = await open_store(options, ManualClock(BASE_MS))
    await store.ensure(StreamSpec(STREAM, 1, retention_age_ms=None))
    wal = tmp_path / "penstock.db-wal"
    taken = 0
    with closing(sqlite3.connect(tmp_path / "penstock.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM batches").fetchall()
        with pytest.raises(StoreFull, match="a reader holds on to"):
            for _ in range(100):
                await store.append([a_run(RNG.randbytes(20_000))])
                taken += 1
        await store.append([], [Put("sessions", "c", b"goes on")])
        with pytest.raises(StoreFull):
            await store.append([a_run(b"x")])
        assert wal.stat().st_size < 2 * WAL_BYTES

    async def append():
        try:
            await store.append([a_run(b"again")])
        except StoreFull:
            return False
        return True

    await until(append, "records to be taken again")
    assert wal.stat().st_size < WAL_BYTES
    assert len(await everything(store)) == taken + 1
    await store.close()


def test_a_wal_that_is_not_there_is_no_trouble(tmp_path):
    limit = WalLimit(tmp_path / "penstock.db", 10)
    limit.look()
    assert not limit.is_exceeded
