"""Crashes of the store at every write and sync: `python -m tests.faults.store_torture --seeds N`.

A process that uses the log is recorded, write by write; then each seed draws a crash out of the
recording: where it comes, what of the unsynced writes it leaves and in which shape. The log that is
left is opened, and must keep every promise that was made before.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from gateway.clock import ManualClock, boot_id
from gateway.errors import StoreError
from gateway.events import Record
from gateway.store import StoreOptions, StreamStore, open_store, verify_log
from tests.faults.torture_workload import (
    FAST,
    GROUP,
    LATEST,
    LOOSE,
    NOW_MS,
    OUTPUTS,
    PARTITIONS,
    RING,
    STATE,
    STREAM,
    a_run,
    payload_of,
)
from tests.harness.disk_trace import INDEX_NAME, Crash, Step, crash_at, read_trace, tracing

ROOT = Path(__file__).parents[2]
SEEDS_A_RECORDING = 500
MARKS = "marks"
OMITTED = (MARKS, "penstock.reserve", "penstock.lock")
POINTLESS = (*OMITTED, INDEX_NAME)
CRASHES = tuple(Crash)
CRASHES_A_POINT = 4
MEMORY = Path("/dev/shm")  # noqa: S108 - only a parent of a directory with a name of its own


Found = dict[tuple[str, int], dict[int, Record]]
"""The records of each partition by offset."""


class PromiseBroken(AssertionError):
    """The log has lost, changed or doubled something."""


@dataclass
class Promises:
    """What the recorded process had been told when it crashed."""

    stored: list[tuple[str, int, int, int, int]] = field(default_factory=list)
    latest: dict[str, int] = field(default_factory=dict)
    entries: dict[str, set[str]] = field(default_factory=dict)
    commits: int = 0
    ring_start: int = 0
    is_retaining: bool = False
    is_loose: bool = False

    def take(self, mark: dict[str, Any]) -> None:
        """Take note of one line of the marks."""
        ((what, own),) = mark.items()
        match what:
            case "stored":
                self.stored.append(tuple(own))
            case "latest":
                self.latest[own[0]] = own[1]
            case "putting":
                self.entries.setdefault(own[0], {""}).add(own[1])
            case "put":
                self.entries[own[0]] = {own[1]}
            case "commit":
                self.commits = own
            case "retaining":
                self.is_retaining = True
            case "retained":
                self.is_retaining, self.ring_start = False, own


class Recording(NamedTuple):
    """The steps of one process that used the log, and whether all of it was to be synced."""

    steps: Sequence[Step]
    is_loose: bool


def record(seed: int, directory: Path) -> Recording:
    """Run the workload once, under the tracer."""
    data_dir, output = directory / "log", directory / "trace"
    data_dir.mkdir()
    environment = {**os.environ, **tracing(data_dir, output), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.faults.torture_workload", str(data_dir), str(seed)]
    subprocess.run(command, check=True, env=environment, cwd=ROOT)
    steps = read_trace(output)
    shutil.rmtree(data_dir)
    output.unlink()
    return Recording(steps, seed % 4 == 0)


def promises_before(recording: Recording, point: int) -> Promises:
    """What had been promised when step number `point` came."""
    promises = Promises(is_loose=recording.is_loose)
    for step in recording.steps[:point]:
        if step.name == MARKS and step.content:
            promises.take(orjson.loads(step.content))
    return promises


def drawn(recording: Recording, seed: int) -> tuple[int, Crash, random.Random]:
    """Where the crash of a seed comes, and of which kind it is: each point has its turn."""
    points = [number for number, own in enumerate(recording.steps) if own.name not in POINTLESS]
    rng = random.Random(seed)
    turn = seed // CRASHES_A_POINT * 7919
    return points[turn % len(points)], CRASHES[seed % CRASHES_A_POINT], rng


async def crash(recording: Recording, seed: int, directory: Path) -> str:
    """Leave the log as the seed's crash does, open it and check it; returns what kind it was.

    Raises:
        PromiseBroken: something is not as it was promised.
    """
    point, kind, rng = drawn(recording, seed)
    data_dir = directory / "crashed"
    shutil.rmtree(data_dir, ignore_errors=True)
    data_dir.mkdir()
    for name, content in crash_at(recording.steps, point, kind, rng).items():
        if name not in OMITTED:
            (data_dir / name).write_bytes(content)
    boot = boot_id() if kind is Crash.kill else "before the cut"
    (data_dir / "penstock.lock").write_text(f"1\n{boot}\n")
    try:
        await check(data_dir, promises_before(recording, point), kind)
    except (PromiseBroken, StoreError) as error:
        error.add_note(f"seed {seed}: {kind.value}, at step {point}")
        raise
    return kind.name


async def check(data_dir: Path, promises: Promises, kind: Crash) -> None:
    """Open the log twice, and see that all is there each time."""
    store = await open_store(StoreOptions(data_dir), ManualClock(NOW_MS))
    try:
        # What never was promised to outlast a power cut may leave holes that look like damage.
        may_be_mended = promises.is_loose and kind is not Crash.kill
        demand(may_be_mended or not await store.entries("damage"), "a crash was taken for damage")
        await check_promises(store, promises, kind)
        await check_new_offsets(store, promises, kind)
    finally:
        await store.close()
    verdict = verify_log(data_dir)
    demand(verdict["sound"], f"verify finds {verdict['faults'][:1]}")


async def check_promises(store: StreamStore, promises: Promises, kind: Crash) -> None:
    """Acknowledged ⊆ stored, order, and the outcome of commits that are all or nothing."""
    found: Found = {}
    for spec in await store.streams():
        for partition in range(spec.partitions):
            found[spec.name, partition] = await read_all(store, spec.name, partition)
    check_stored(promises, found, await starts_of(store), kind)
    for (stream, partition), own in found.items():
        numbers = [int(record.payload.partition(b" ")[0]) for record in own.values()]
        demand(numbers == sorted(set(numbers)), f"{stream}/{partition} is out of order")
    check_latest(promises, [*found.get((LATEST, 0), {}).values()])
    await check_starts(store, promises)
    await check_commit(store, promises, [*found.get((OUTPUTS, 0), {}).values()])
    entries = dict(await store.entries("sessions"))
    for key, allowed in promises.entries.items():
        demand(entries.get(key, b"").decode() in allowed, f"the entry {key} is another")


def check_stored(
    promises: Promises, found: Found, starts: dict[tuple[str, int], int], kind: Crash
) -> None:
    """Every acknowledged record is there and is the same, unless retention has removed it.

    What was in memory alone may be gone, but is never another record.
    """
    for stream, partition, base, first, count in promises.stored:
        key = (stream, partition)
        if stream == LOOSE and kind is not Crash.kill:
            continue
        demand(key in found, f"{stream}/{partition} is gone")
        own, start = found[key], starts[key]
        for offset, number in zip(
            range(base, base + count), range(first, first + count), strict=True
        ):
            is_lost = offset not in own and offset >= start
            demand(not is_lost or stream == FAST, f"{stream}/{partition} {offset} is lost")
            is_same = offset not in own or own[offset].payload == payload_of(number)
            demand(is_same, f"{stream}/{partition} {offset} is another record")


async def starts_of(store: StreamStore) -> dict[tuple[str, int], int]:
    """Where each partition begins."""
    return {
        (spec.name, partition): (await store.bounds(spec.name, partition)).log_start_offset
        for spec in await store.streams()
        for partition in range(spec.partitions)
    }


def check_latest(promises: Promises, records: Sequence[Record]) -> None:
    """Each device has its last value, or the one that was on its way."""
    last = {record.device: int(record.payload.partition(b" ")[0]) for record in records}
    for device, number in promises.latest.items():
        demand(last.get(device, -1) >= number, f"the last value of {device} is lost")
        later = [own for own in promises.latest.values() if own > number]
        demand(last[device] not in later, f"the last value of {device} is another's")


async def read_all(store: StreamStore, stream: str, partition: int) -> dict[int, Record]:
    """Every record of a partition by offset, in the order in which it is read."""
    offset, end = await store.bounds(stream, partition)
    found: dict[int, Record] = {}
    while offset < end:
        chunk = await store.fetch(stream, partition, offset)
        demand(chunk.next_offset > offset, f"{stream}/{partition} stops at {offset}")
        for batch in chunk.batches:
            found |= {record.offset: record for record in batch.records()}
        offset = chunk.next_offset
    return found


async def check_starts(store: StreamStore, promises: Promises) -> None:
    """Nothing is removed that retention has not been asked to remove."""
    for spec in await store.streams():
        for partition in range(spec.partitions):
            start = (await store.bounds(spec.name, partition)).log_start_offset
            if spec.name != RING:
                demand(start == 0, f"{spec.name}/{partition} begins at {start}")
            elif not promises.is_retaining:
                demand(start == promises.ring_start, f"{RING} begins at {start}")


async def check_commit(store: StreamStore, promises: Promises, outputs: Sequence[Record]) -> None:
    """Offsets, state and outputs are of the same commit, and none is past the end."""
    encoded = await store.entry(STATE, "offsets")
    commit, *offsets = orjson.loads(encoded) if encoded else (0,)
    demand(commit in (promises.commits, promises.commits + 1), f"the state is of commit {commit}")
    demand(len(outputs) == commit, f"{len(outputs)} outputs of {commit} commits")
    (group,) = [own for own in await store.groups() if own.name == GROUP] or [None]
    committed = [] if group is None else [group.offsets[key] for key in sorted(group.offsets)]
    demand(committed == offsets, f"offsets {committed} with the state of {offsets}")
    for partition, offset in enumerate(committed):
        end = (await store.bounds(STREAM, partition)).log_end_offset
        demand(offset <= end, f"committed {offset}, past the end {end}")


async def check_new_offsets(store: StreamStore, promises: Promises, kind: Crash) -> None:
    """What is appended next gets offsets that nobody has been told."""
    names = {spec.name for spec in await store.streams()}
    for stream, partition in (
        (STREAM, 0),
        (STREAM, PARTITIONS - 1),
        (RING, 0),
        (LATEST, 0),
        (FAST, 0),
        (LOOSE, 0),
    ):
        if stream not in names or (stream == LOOSE and kind is not Crash.kill):
            continue
        told = [
            base + count
            for own, number, base, _, count in promises.stored
            if (own, number) == (stream, partition)
        ]
        (base,) = (await store.append([a_run(stream, partition, 1 << 30, 1)])).base_offsets
        demand(base >= max(told, default=0), f"{stream}/{partition} {base} is given out again")


def demand(is_kept: bool, otherwise: str) -> None:
    """See that a promise is kept.

    Raises:
        PromiseBroken: it isn't.
    """
    if not is_kept:
        raise PromiseBroken(otherwise)


async def torture(seeds: range, directory: Path, *, shows_progress: bool = False) -> Counter[str]:
    """Crash once for each seed; returns how many of each kind there were.

    Raises:
        PromiseBroken: with the seed in its notes.
    """
    counts: Counter[str] = Counter()
    recording: Recording | None = None
    recorded = -1
    for seed in seeds:
        if recording is None or seed // SEEDS_A_RECORDING != recorded:
            recorded = seed // SEEDS_A_RECORDING
            recording = await asyncio.to_thread(record, recorded, directory)
            if shows_progress:
                print(f"seed {seed}: {len(recording.steps)} steps recorded", flush=True)
        counts[await crash(recording, seed, directory)] += 1
    return counts


def main() -> int:
    """Run the seeds that were asked for; the exit code is 1 when a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.store_torture", description=__doc__
    )
    parser.add_argument("--seeds", type=int, default=1000, help="how many crashes")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    started = time.monotonic()
    parent = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="store-torture-", dir=parent) as directory:
        try:
            counts = asyncio.run(
                torture(
                    range(options.start, options.start + options.seeds),
                    Path(directory),
                    shows_progress=True,
                )
            )
        except (PromiseBroken, StoreError) as error:
            notes = getattr(error, "__notes__", ())
            print(f"broken: {error}; {'; '.join(notes)}")
            return 1
    print(f"{options.seeds} crashes in {time.monotonic() - started:.0f} s, every promise kept")
    for name, count in sorted(counts.items()):
        print(f"  {name}: {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
