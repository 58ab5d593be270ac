from __future__ import annotations

import asyncio
import contextlib
import os

from gateway.clock import ManualClock
from gateway.pipeline.sweeping import Sweeping, SweepingOptions
from gateway.store import BlobStore, holder_put
from gateway.store.memory import MemoryStore
from tests.harness.waiting import until

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000


async def test_a_blob_that_nobody_holds_goes_and_one_that_is_held_stays(tmp_path):
    store, clock = MemoryStore(), ManualClock(NOW_MS)
    blobs = BlobStore(tmp_path, clock)
    loose, held = blobs.put(b"loose"), blobs.put(b"held")
    for digest in (loose, held):
        os.utime(blobs.path_of(digest), (NOW_MS / 1_000, NOW_MS / 1_000))
    await store.append([], [holder_put(held, "firmware/x")])
    clock.advance(DAY_MS)
    sweeping = Sweeping(store, blobs, options=SweepingOptions(pause_ms=0))
    running = asyncio.create_task(sweeping.run())
    try:
        await until(lambda: sweeping.removed == 1, "a round of the sweep")
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    assert blobs.get(loose) is None
    assert blobs.get(held) == b"held"


async def test_a_disk_that_refuses_is_tried_again(tmp_path):
    sweeping = Sweeping(
        MemoryStore(), BlobStore(tmp_path, ManualClock(NOW_MS)), options=SweepingOptions(pause_ms=0)
    )
    steps = iter([OSError("no")])

    async def step():
        error = next(steps, None)
        if error is not None:
            raise error
        return 1

    sweeping._sweep.step = step
    running = asyncio.create_task(sweeping.run())
    await until(lambda: sweeping.removed > 0, "a step that works")
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
