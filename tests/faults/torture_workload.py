"""A process that uses a log in every way, and notes in the file `marks` what it was promised."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson

from gateway.clock import ManualClock
from gateway.events import Origin, Run
from gateway.store import Put, StoreOptions, StreamSpec, StreamStore, open_store
from gateway.store.batch_format import BatchCompressor, pack
from gateway.store.sqlite.rows import checksum_of
from gateway.store.sqlite.schema import (
    APPLICATION_ID,
    DATABASE_NAME,
    FORMAT_VERSION,
    MIGRATIONS,
    batch_id,
)

STREAM, RING, LOOSE, OUTPUTS = "telemetry", "ring", "loose", "outputs"
LATEST, FAST, OLD = "latest", "fast", "old"
PARTITIONS = 2
NOW_MS = 1_700_000_000_000
RESERVE_BYTES = 128 << 10  # The WAL is moved into the main file sixteen pages at a time.
LIVES = 3
TURNS = 14
SPECS = (
    StreamSpec(STREAM, PARTITIONS, retention_age_ms=None),
    StreamSpec(RING, 1, retention_age_ms=None, retention_count=60),
    StreamSpec(OUTPUTS, 1, retention_age_ms=None),
    StreamSpec(LATEST, 1, retention_age_ms=None, compact_by="device"),
    StreamSpec(FAST, 1, durability="memory", retention_age_ms=None),
    StreamSpec(OLD, 1, retention_age_ms=None),
)
LOOSE_SPEC = StreamSpec(LOOSE, 1, durability="os", retention_age_ms=None)
GROUP, STATE = "rules", "state"
DEVICES = 4
FAST_BYTES = 3_000  # Then what is in memory is written out.
OLD_RECORDS = 5


def make_old(data_dir: Path, done: int) -> None:
    """Leave a log of an earlier format, made in one transaction, to be brought up to date."""
    body = BatchCompressor().compress(pack([a_run(OLD, 0, 0, OLD_RECORDS)]))
    columns = (batch_id(1, 0), 1, 0, OLD_RECORDS, NOW_MS, NOW_MS, 50, len(body))
    row = (*columns, 1, checksum_of(columns, body), body)
    with closing(sqlite3.connect(data_dir / DATABASE_NAME, isolation_level=None)) as old:
        old.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN;")
        for statement in "".join(MIGRATIONS[:done]).split(";"):
            old.execute(statement)
        old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        old.execute(f"PRAGMA user_version = {done}")
        old.execute("INSERT INTO streams (name, partitions, durability) VALUES ('old', 1, 'fsync')")
        old.execute("INSERT INTO partitions (number, stream, partition) VALUES (1, 'old', 0)")
        old.execute(f"INSERT INTO batches VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608 - marks
        old.execute("COMMIT")


def payload_of(number: int) -> bytes:
    """A payload that tells its number, and is like no other of its size."""
    size = 9000 if number % 97 == 0 else number % 40
    return b"%d %s" % (number, random.Random(number).randbytes(size))


def a_run(stream: str, partition: int, first: int, count: int) -> Run:
    """Consecutive numbers of one device."""
    device = f"{stream}-{partition}"
    return Run(
        stream,
        partition,
        "client",
        NOW_MS + first,
        [Origin(f"plant/{device}", device)] * count,
        [payload_of(number) for number in range(first, first + count)],
        bytes(count),
    )


class Workload:
    """Random calls, and a mark for each that was answered."""

    def __init__(self, data_dir: Path, seed: int) -> None:
        self.options = StoreOptions(
            data_dir, reserve_bytes=RESERVE_BYTES, memory_bytes_max=FAST_BYTES
        )
        self.rng = random.Random(seed)
        self.is_loose = seed % 4 == 0
        self.next_numbers: dict[tuple[str, int], int] = {}
        self.commits = 0
        self._marks = os.open(data_dir / "marks", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def mark(self, **own: Any) -> None:
        os.write(self._marks, orjson.dumps(own) + b"\n")

    async def live(self) -> None:
        """Open the log, use it, close it."""
        store = await open_store(self.options, ManualClock(NOW_MS))
        for spec in (*SPECS, LOOSE_SPEC) if self.is_loose else SPECS:
            await store.ensure(spec)
        turns = [self.append, self.append, self.append, self.put, self.commit, self.retain]
        turns += [self.append_latest, self.compact, self.append_fast]
        turns += [self.append_loosely] * self.is_loose
        for _ in range(TURNS):
            await self.rng.choice(turns)(store)
        await store.close()
        self.mark(closed=True)

    async def append(self, store: StreamStore) -> None:
        """Several at once."""
        own = [(STREAM, number) for number in range(PARTITIONS)] + [(RING, 0)]
        own += [(LOOSE, 0)] * self.is_loose
        await asyncio.gather(*(self._append(store, *key) for key in self.rng.choices(own, k=3)))

    async def append_loosely(self, store: StreamStore) -> None:
        """Commits that the kernel writes when it likes."""
        for _ in range(4):
            await self._append(store, LOOSE, 0)

    async def _append(self, store: StreamStore, stream: str, partition: int) -> None:
        count = self.rng.randint(1, 25)
        first = self.next_numbers.get((stream, partition), 0)
        self.next_numbers[stream, partition] = first + count
        appended = await store.append([a_run(stream, partition, first, count)])
        self.mark(stored=[stream, partition, appended.base_offsets[0], first, count])

    async def append_fast(self, store: StreamStore) -> None:
        """Records that are in memory alone, until there are more of them."""
        for _ in range(3):
            await self._append(store, FAST, 0)

    async def append_latest(self, store: StreamStore) -> None:
        """New last values of some devices."""
        for _ in range(3):
            device, number = self.rng.randrange(DEVICES), self.next_numbers.get((LATEST, 0), 0)
            self.next_numbers[LATEST, 0] = number + 1
            run = a_run(LATEST, 0, number, 1)
            run.origins = [Origin(f"plant/{device}", str(device))]
            await store.append([run])
            self.mark(latest=[str(device), number])

    async def compact(self, store: StreamStore) -> None:
        """Some steps, or all that there are."""
        for _ in range(self.rng.randint(1, 20)):
            if not await store.compact_step(LATEST):
                return

    async def put(self, store: StreamStore) -> None:
        key, value = f"key-{self.rng.randrange(40)}", self.rng.randbytes(300).hex()
        self.mark(putting=[key, value])
        await store.append([], [Put("sessions", key, value.encode())])
        self.mark(put=[key, value])

    async def commit(self, store: StreamStore) -> None:
        """Outputs, state and offsets, all or none."""
        offsets = {}
        for partition in range(PARTITIONS):
            end = (await store.bounds(STREAM, partition)).log_end_offset
            offsets[STREAM, partition] = end
        self.commits += 1
        state = orjson.dumps([self.commits, *offsets.values()])
        await store.commit_group(
            GROUP,
            0,
            outputs=[a_run(OUTPUTS, 0, self.commits, 1)],
            state=[Put(STATE, "offsets", state)],
            offsets=offsets,
        )
        self.mark(commit=self.commits)

    async def retain(self, store: StreamStore) -> None:
        self.mark(retaining=True)
        await store.retain_step()
        self.mark(retained=(await store.bounds(RING, 0)).log_start_offset)


async def main(data_dir: Path, seed: int) -> None:
    workload = Workload(data_dir, seed)
    if seed % 3 == 0:
        make_old(data_dir, 1 + seed // 3 % (FORMAT_VERSION - 1))
        workload.mark(stored=[OLD, 0, 0, 0, OLD_RECORDS])
    for _ in range(LIVES):
        await workload.live()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
