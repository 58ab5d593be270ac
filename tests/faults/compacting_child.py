"""A process that appends to a compacting log and compacts it, until its disk kills it."""

import asyncio
import random
import sys
from pathlib import Path

from gateway.clock import ManualClock
from gateway.store import StoreOptions, open_store
from tests.gateway.store.building import BASE_MS
from tests.gateway.store.compaction_contract import LATEST_SPEC, compact, readings


async def main(data_dir, seed):
    rng = random.Random(seed)
    store = await open_store(StoreOptions(data_dir), ManualClock(BASE_MS))
    await store.ensure(LATEST_SPEC)
    for turn in range(1_000):
        device, payload = f"pump-{rng.randrange(5)}", b"%d" % turn
        await store.append([readings((device, payload))])
        print(f"{device} {turn}", flush=True)
        if turn % 10 == 9:
            await compact(store)


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
