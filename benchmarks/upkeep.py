"""The log's upkeep: acks while it is cleared, compacted, copied and read; bytes written."""

from __future__ import annotations

import asyncio
import random
import shutil
import statistics
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import NamedTuple

from gateway.clock import SystemClock
from gateway.events import Origin, Run
from gateway.store import (
    StoreOptions,
    StreamSpec,
    StreamStore,
    open_store,
    own_written_bytes,
    partition_of,
)

STREAM, COMPACTING = "telemetry", "last-values"
PARTITIONS = 4
DEVICES = 100
KEPT_RECORDS = 20_000
APPENDS_A_TURN = 150
TURNS = 5
RECORDS_AN_APPEND = 50


class Upkeep(NamedTuple):
    """The 99th percentile of acks in milliseconds, without and with upkeep going on."""

    alone_ms: float
    busy_ms: float


async def measure_upkeep(directory: Path) -> Upkeep:
    """Append in turns: with nothing else, and with retention, compaction, backup and a replay."""
    data_dir = directory / "data"
    store = await open_store(StoreOptions(data_dir, tail_bytes_max=1 << 20), SystemClock())
    spec = StreamSpec(STREAM, PARTITIONS, retention_age_ms=None, retention_count=KEPT_RECORDS)
    await store.ensure(spec)
    await store.ensure(
        StreamSpec(COMPACTING, PARTITIONS, retention_age_ms=None, compact_by="topic")
    )
    rng = random.Random(1)
    await append_for_a_turn(store, rng, 2 * KEPT_RECORDS // RECORDS_AN_APPEND)
    alone_ms, busy_ms = [], []
    for turn in range(TURNS):
        alone_ms += await append_for_a_turn(store, rng, APPENDS_A_TURN)
        copies = directory / f"copies-{turn}"
        others = [
            asyncio.create_task(work)
            for work in (retain(store), compact(store), copy(data_dir, copies), replay(store))
        ]
        busy_ms += await append_for_a_turn(store, rng, APPENDS_A_TURN)
        for other in others:
            other.cancel()
        for result in await asyncio.gather(*others, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
    await store.close()
    shutil.rmtree(directory)
    return Upkeep(percentile(alone_ms), percentile(busy_ms))


def percentile(times_ms: list[float]) -> float:
    """The 99th of a hundred."""
    return statistics.quantiles(times_ms, n=100)[98]


async def append_for_a_turn(store: StreamStore, rng: random.Random, appends: int) -> list[float]:
    """Append one after the other; returns each time in milliseconds."""
    times_ms = []
    for _ in range(appends):
        run = a_run(rng, RECORDS_AN_APPEND)
        started = time.perf_counter()
        await store.append([run])
        times_ms.append((time.perf_counter() - started) * 1000)
    return times_ms


async def retain(store: StreamStore) -> None:
    """Remove what exceeds the limit, step by step as the gateway does."""
    while True:
        await store.retain_step()
        await asyncio.sleep(0.02)


async def compact(store: StreamStore) -> None:
    """Write the same few topics again and again, and remove what they replace."""
    rng = random.Random(2)
    while True:
        run = a_run(rng, RECORDS_AN_APPEND)
        run.stream = COMPACTING
        await store.append([run])
        await store.compact_step(COMPACTING)
        await asyncio.sleep(0.02)


async def copy(data_dir: Path, copies: Path) -> None:
    """Take one safety copy after the other, in a process of its own as `penstock backup` does."""
    number = 0
    while True:
        number += 1
        command = (
            "-m",
            "gateway.cli",
            "backup",
            str(copies / str(number)),
            "--data",
            str(data_dir),
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=DEVNULL, stderr=PIPE
        )
        try:
            _, complaint = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode:
            raise RuntimeError(f"the backup failed: {complaint.decode().strip()}")


async def replay(store: StreamStore) -> None:
    """Read the log from its beginning, again and again."""
    while True:
        tail = store.tail([STREAM], "earliest")
        for _ in range(10):
            await tail.next()
        tail.close()


async def measure_wear(directory: Path, events_per_s: int, seconds: float) -> float | None:
    """Bytes written for each payload byte, when a fleet publishes by the clock."""
    options = StoreOptions(directory, linger_ms=None)
    store = await open_store(options, SystemClock())
    await store.ensure(StreamSpec(STREAM, PARTITIONS))
    # What a new file writes once is not what lasts.
    await store.close()
    store = await open_store(options, SystemClock())
    rng = random.Random(1)
    # The first commits after a silence don't wait; they are not what lasts.
    await publish(store, rng, events_per_s, seconds / 4)
    before_bytes, before = own_written_bytes(), store.appended
    await publish(store, rng, events_per_s, seconds)
    accepted_bytes = store.appended.payload_bytes - before.payload_bytes
    # Closing moves the rest of the WAL into the main file, which belongs to the price.
    await store.close()
    after_bytes = own_written_bytes()
    shutil.rmtree(directory)
    if before_bytes is None or after_bytes is None or after_bytes == before_bytes:
        return None
    return (after_bytes - before_bytes) / accepted_bytes


async def publish(
    store: StreamStore, rng: random.Random, events_per_s: int, seconds: float
) -> None:
    """Append single events at a steady rate, whatever is acknowledged."""
    started, count, commits = time.perf_counter(), 0, []
    while count < events_per_s * seconds:
        due = int((time.perf_counter() - started) * events_per_s)
        while count < due:
            commits.append(store.append([a_run(rng, 1)]))
            count += 1
        await asyncio.sleep(max(0.001, 0.5 / events_per_s))
    await asyncio.gather(*commits)


def a_run(rng: random.Random, records: int) -> Run:
    """Readings of one device, as JSON of 120 bytes."""
    device = f"pump-{rng.randrange(DEVICES)}"
    payloads = [
        (
            f'{{"device": "{device}", "temperature": {rng.gauss(60, 5):.2f}, '
            f'"pressure": {rng.gauss(3, 0.5):.3f}, "ts": {time.time_ns() // 1_000_000}}}'
        )
        .encode()
        .ljust(120)
        for _ in range(records)
    ]
    origin = Origin(f"plant/{device}/telemetry", device)
    return Run(
        STREAM,
        partition_of(device, PARTITIONS),
        device,
        time.time_ns() // 1_000_000,
        [origin] * records,
        payloads,
        b"\x02" * records,
    )
