import asyncio

import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreError
from gateway.store import StoreOptions, open_store
from gateway.store.sqlite.copying import back_up, restore
from gateway.store.sqlite.verifying import verify
from tests.gateway.store.building import STREAM, everything, numbered
from tests.gateway.store.logs import SPEC
from tests.harness.waiting import until


async def test_a_copy_taken_under_load_is_one_moment_and_restores(tmp_path):
    store = await open_store(StoreOptions(tmp_path / "data"), ManualClock(1))
    await store.ensure(SPEC)
    is_over = asyncio.Event()

    async def load():
        number = 0
        while not is_over.is_set():
            await store.append([numbered(number, 20), numbered(number, 20, partition=1)])
            number += 20
        return number

    writing = asyncio.create_task(load())
    await until(lambda: is_filled(store), "200 records")
    manifest = await asyncio.to_thread(
        back_up, tmp_path / "data", tmp_path / "copy", ManualClock(1)
    )
    is_over.set()
    written = await writing
    first, second = manifest["streams"][STREAM]["next_offsets"]
    assert 200 <= first == second <= written
    assert manifest["faults"] == []
    await asyncio.to_thread(restore, tmp_path / "copy", tmp_path / "new")
    copy = await open_store(StoreOptions(tmp_path / "new"), ManualClock(1))
    assert await everything(copy) == (await everything(store))[:first]
    assert (await copy.append([numbered(0, 1)])).base_offsets == [first]
    await copy.close()
    await store.close()
    found = await asyncio.to_thread(verify, tmp_path / "copy")
    assert found.stream_hash(STREAM) == manifest["streams"][STREAM]["hash"]


async def is_filled(store):
    return (await store.bounds(STREAM, 0)).log_end_offset >= 200


async def test_a_manifest_of_something_else_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(StoreError, match="not the manifest of a backup"):
        restore(tmp_path, tmp_path / "new")
