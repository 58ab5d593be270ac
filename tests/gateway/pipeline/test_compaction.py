import asyncio
import contextlib

from gateway.errors import StoreUnavailable
from gateway.pipeline import Compaction
from gateway.store.memory import MemoryStore
from tests.gateway.store.building import everything
from tests.gateway.store.compaction_contract import LATEST, LATEST_SPEC, readings


async def test_it_compacts_in_time_what_streams_want_compacted():
    store = MemoryStore()
    await store.ensure(LATEST_SPEC)
    for turn in range(5):
        await store.append([readings(("pump-1", b"%d" % turn))])
    loop = asyncio.create_task(Compaction(store, interval_ms=1, pause_ms=1).run())
    while len(await everything(store, LATEST)) > 1:
        await asyncio.sleep(0.001)
    loop.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await loop


async def test_a_disk_that_refuses_is_tried_again(caplog):
    tries = []

    class Refusing(MemoryStore):
        async def compact_step(self, stream=None):
            tries.append(stream)
            raise StoreUnavailable("no")

    loop = asyncio.create_task(Compaction(Refusing(), interval_ms=1).run())
    while len(tries) < 3:
        await asyncio.sleep(0.001)
    loop.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await loop
    assert "compaction has to wait" in caplog.text
