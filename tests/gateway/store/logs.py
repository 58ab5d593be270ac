"""Small logs on disk for the tests of what reads whole data directories."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.clock import ManualClock
from gateway.store import Put, StoreOptions, StreamSpec, open_store
from tests.gateway.store.building import BASE_MS, STREAM, numbered

SPEC = StreamSpec(STREAM, 2, retention_age_ms=None)


def write_small_log(data_dir: Path) -> Path:
    """A log of twice 100 records in 10 commits, a table and a group that has read half of it."""
    asyncio.run(_write(data_dir))
    return data_dir


async def _write(data_dir: Path) -> None:
    store = await open_store(StoreOptions(data_dir), ManualClock(BASE_MS))
    await store.ensure(SPEC)
    for first in range(0, 100, 10):
        runs = [
            numbered(first, 10, partition=partition, arrival_ms=BASE_MS + first)
            for partition in range(SPEC.partitions)
        ]
        await store.append(runs, [Put("notes", f"client-{first}", b"state")])
    member = store.join("rules", [STREAM])
    await member.poll()
    await member.commit(offsets={(STREAM, 0): 50, (STREAM, 1): 50})
    await member.close()
    await store.close()
