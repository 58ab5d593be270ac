import asyncio
import contextlib

from gateway.errors import StoreUnavailable
from gateway.pipeline import Compaction
from gateway.store.memory import MemoryStore
from tests.gateway.store.compaction_contract import LATEST, LATEST_SPEC, readings
from tests.harness.waiting import until


async def test_it_compacts_in_time_what_streams_want_compacted():
    store = MemoryStore()
    await store.ensure(LATEST_SPEC)
    for turn in range(5):
        await store.append([readings(("pump-1", b"%d" % turn))])
    loop = asyncio.create_task(Compaction(store, interval_ms=1, pause_ms=1).run())
    log = store._logs[LATEST, 0]
    await until(lambda: sum(batch.count for batch in log.batches) == 1, "the compaction")
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
    await until(lambda: len(tries) >= 3, "three tries")
    loop.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await loop
    assert "compaction has to wait" in caplog.text
