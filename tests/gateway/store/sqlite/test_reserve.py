import asyncio
import random
import subprocess

import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreFull
from gateway.store import Put, StoreOptions, StreamSpec, open_store
from gateway.store.sqlite import committer as committer_module
from gateway.store.sqlite.reserve import RESERVE_NAME, DiskReserve, free_bytes
from tests.gateway.store.building import STREAM, a_run, everything
from tests.harness.waiting import until

MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MiB of its own; needs the right to mount one."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(mounted)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield mounted
    subprocess.run(["umount", "-l", str(mounted)], check=True)


def test_the_reserve_holds_room_until_it_is_given_up(tmp_path):
    reserve = DiskReserve(tmp_path, 64 << 10)
    assert not reserve.is_held
    assert reserve.take()
    assert reserve.is_held
    assert reserve.take()
    assert (tmp_path / RESERVE_NAME).stat().st_blocks * 512 >= 64 << 10
    reserve.give_up()
    reserve.give_up()
    assert not reserve.is_held


def test_no_reserve_is_always_held(tmp_path):
    assert DiskReserve(tmp_path, 0).take()
    assert not (tmp_path / RESERVE_NAME).exists()


def test_the_reserve_is_not_taken_where_it_would_fill_the_disk(tmp_path):
    assert not DiskReserve(tmp_path, free_bytes(tmp_path)).take()
    assert not DiskReserve(tmp_path / "absent", 5).take()
    assert not (tmp_path / RESERVE_NAME).exists()


async def open_small(directory):
    store = await open_store(StoreOptions(directory, reserve_bytes=MIB), ManualClock())
    await store.ensure(StreamSpec(STREAM, 1, retention_age_ms=None))
    return store


async def fill(store):
    """Append what can't be compressed until there is no room; return what was acknowledged."""
    rng = random.Random(3)
    acknowledged = []
    while True:
        payload = rng.randbytes(100_000)
        try:
            await store.append([a_run(payload)])
        except StoreFull:
            return acknowledged
        acknowledged.append(payload)


async def test_a_full_disk_refuses_records_and_takes_control_data(small_disk, monkeypatch):
    monkeypatch.setattr(committer_module, "ROOM_PAUSE_S", 0.0)
    store = await open_small(small_disk)
    acknowledged = await fill(store)
    assert len(acknowledged) > 20
    (small_disk / "ballast").write_bytes(bytes(max(free_bytes(small_disk) - 700_000, 0)))
    table = store.table("sessions")
    for number in range(50):
        await table.put(f"client-{number % 5}", b"state %d" % number)
        with pytest.raises(StoreFull):
            await store.append([a_run(b"x")])
    assert await table.get("client-4") == b"state 49"
    assert [record.payload for record in await everything(store)] == acknowledged
    (small_disk / "ballast").unlink()
    await store.close()


async def test_it_recovers_by_itself_when_there_is_room_again(small_disk, monkeypatch):
    monkeypatch.setattr(committer_module, "ROOM_PAUSE_S", 0.0)
    (small_disk / "ballast").write_bytes(bytes(3 * MIB))
    store = await open_small(small_disk)
    acknowledged = await fill(store)
    (small_disk / "ballast").unlink()

    async def append():
        try:
            return await store.append([a_run(b"after")])
        except StoreFull:
            return None

    await until(append, "the store to take records again")
    assert (small_disk / RESERVE_NAME).exists()
    found = [record.payload for record in await everything(store)]
    assert found == [*acknowledged, b"after"]
    await store.close()


async def test_a_gateway_opens_on_a_disk_that_is_full(small_disk, monkeypatch):
    monkeypatch.setattr(committer_module, "ROOM_PAUSE_S", 0.0)
    store = await open_small(small_disk)
    await store.append([a_run(b"x" * 1000)])
    await store.close()
    (small_disk / "ballast").write_bytes(bytes(free_bytes(small_disk)))
    store = await open_store(StoreOptions(small_disk, reserve_bytes=MIB), ManualClock())
    assert len(await everything(store)) == 1
    with pytest.raises(StoreFull):
        await store.append([a_run(b"x")])
    await asyncio.wait_for(store.append([], [Put("t", "k", b"v")]), 10)
    (small_disk / "ballast").unlink()
    await store.close()


async def test_what_retention_frees_inside_the_file_is_room_enough(small_disk, monkeypatch):
    monkeypatch.setattr(committer_module, "ROOM_PAUSE_S", 0.0)
    store = await open_small(small_disk)
    await fill(store)
    await store.ensure(StreamSpec(STREAM, 1, retention_age_ms=None, retention_count=10))
    while await store.retain_step():
        pass

    async def append():
        try:
            return await store.append([a_run(b"after")])
        except StoreFull:
            return None

    await until(append, "the store to use the room that retention made")
    await store.close()
