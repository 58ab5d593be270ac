"""A process that appends until it is killed, and prints each append that was acknowledged."""

import asyncio
import random
import sys
from pathlib import Path

from gateway.clock import SystemClock
from gateway.store import StoreOptions, StreamSpec, open_store
from tests.gateway.store.building import STREAM, numbered

PARTITIONS = 2
WRITERS = 8


async def write(store, rng, counters):
    """Append runs of consecutive numbers for ever, one after the other."""
    while True:
        partition = rng.randrange(PARTITIONS)
        count = rng.randint(1, 20)
        first, counters[partition] = counters[partition], counters[partition] + count
        appended = await store.append([numbered(first, count, partition=partition)])
        print(partition, appended.base_offsets[0], first, count, flush=True)


async def main(data_dir, seed):
    store = await open_store(StoreOptions(Path(data_dir)), SystemClock())
    await store.ensure(StreamSpec(STREAM, PARTITIONS))
    rng = random.Random(seed)
    ends = [
        (await store.bounds(STREAM, partition)).log_end_offset for partition in range(PARTITIONS)
    ]
    await asyncio.gather(*(write(store, rng, ends) for _ in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
