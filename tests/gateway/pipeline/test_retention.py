"""The retention loop against the in-memory engine."""

import asyncio
import contextlib

from gateway.errors import StoreUnavailable
from gateway.events import Origin, Run
from gateway.pipeline import Retention, RetentionOptions
from gateway.store import StreamSpec
from gateway.store.memory import MemoryStore


async def filled_store(records: int, kept: int) -> MemoryStore:
    store = MemoryStore()
    await store.ensure(StreamSpec("s", partitions=1, retention_count=kept))
    for number in range(records):
        payload = str(number).encode()
        await store.append([Run("s", 0, "c", number, [Origin("t", "d")], [payload], b"\x00")])
    return store


async def test_what_exceeds_a_limit_goes_oldest_first_in_steps():
    store = await filled_store(50, kept=10)
    retention = Retention(store, RetentionOptions(pause_ms=0))
    await retention.catch_up()
    bounds = await store.bounds("s", 0)
    assert (bounds.log_start_offset, bounds.log_end_offset) == (40, 50)
    assert retention.removed_batches == 40


async def test_a_stream_within_its_limits_is_left_alone():
    store = await filled_store(10, kept=10)
    retention = Retention(store, RetentionOptions(pause_ms=0))
    await retention.catch_up()
    assert (await store.bounds("s", 0)).log_start_offset == 0
    assert retention.removed_batches == 0


async def test_a_disk_that_refuses_is_tried_again_at_the_next_interval():
    store = await filled_store(3, kept=1)
    step = store.retain_step
    refusals = iter([True, True, False])

    async def refusing_step() -> int:
        if next(refusals, False):
            raise StoreUnavailable("no")
        return await step()

    store.retain_step = refusing_step
    retention = Retention(store, RetentionOptions(interval_ms=1, pause_ms=0))
    running = asyncio.create_task(retention.run())
    async with asyncio.timeout(10):
        while (await store.bounds("s", 0)).log_start_offset < 2:
            await asyncio.wait([running], timeout=0.002)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert retention.removed_batches == 2
