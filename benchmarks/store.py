"""The scenario `store`: how fast the log takes records, gives them back, and finds a moment."""

from __future__ import annotations

import asyncio
import json
import math
import random
import shutil
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import uvloop

from benchmarks.machine import sync_times_us
from benchmarks.plan import Plan
from benchmarks.report import Report, Target
from benchmarks.upkeep import measure_upkeep, measure_wear
from gateway.clock import SystemClock
from gateway.events import Origin, Run
from gateway.store import StoreOptions, StreamSpec, StreamStore, open_store, partition_of

STREAM = "telemetry"
PARTITIONS = 4
DEVICES = 100
RUNS_A_DEVICE = 4
RECORDS_A_RUN = 100
APPENDS_IN_FLIGHT = 200
EVENTS_A_SECOND_EXPECTED = 400_000
LATENCY_TURNS = 6
LATENCY_PROBES = 50
LOOK_UPS = 200

APPEND_MIN = 300_000
FETCH_MIN = 500_000
LOOK_UP_MS_MAX = 20.0
OPEN_S_MAX = 1.0
SYNCS_MAX = 3.0
UPKEEP_MAX = 3.0
MANY_A_SECOND, FEW_A_SECOND = 5_000, 50
WEAR_MANY_MAX, WEAR_FEW_MAX = 0.5, 1.5


class Figures(NamedTuple):
    """What one round found."""

    events: int
    append_rate: float
    append_cpu_us: float
    stored_ratio: float
    fetch_rate: float
    tail_rate: float
    look_up_ms: float
    open_s: float
    ack_ms: float
    sync_ms: float
    upkeep_ratio: float
    wear_many: float
    wear_few: float


def run(plan: Plan) -> Report:
    """Fill a log, read it, look moments up in it, open it again; each round in a new directory."""
    rounds = []
    for round_no in range(plan.rounds):
        print(f"  round {round_no + 1} of {plan.rounds} ...", flush=True)
        directory = plan.directory / "store"
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            rounds.append(runner.run(measure(plan, directory)))
        shutil.rmtree(directory)
    return build_report(plan, rounds)


async def measure(plan: Plan, directory: Path) -> Figures:
    """Measure one round."""
    events = int(plan.load.measured_s * EVENTS_A_SECOND_EXPECTED)
    store = await open_store(StoreOptions(directory), SystemClock())
    await store.ensure(StreamSpec(STREAM, PARTITIONS))
    started, cpu_started = time.perf_counter(), time.process_time()
    await fill(store, build_runs(plan), events)
    append_s, append_cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
    stored = sum(extent.stored_bytes for extent in await store.extents(STREAM))
    fetch_rate = await fetch_all(store)
    tail_rate = await read_tail(store, events)
    look_up_ms = await look_up(store, plan.load.seed)
    await store.close()
    started = time.perf_counter()
    store = await open_store(StoreOptions(directory), SystemClock())
    open_s = time.perf_counter() - started
    ack_ms, sync_ms = await compare_with_sync(store, directory)
    await store.close()
    upkeep = await measure_upkeep(directory / "upkeep")
    wear = [
        await measure_wear(directory / "wear", events_per_s, seconds)
        for events_per_s, seconds in ((MANY_A_SECOND, 10.0), (FEW_A_SECOND, 60.0))
    ]
    return Figures(
        events,
        events / append_s,
        append_cpu_s / events * 1e6,
        stored / (events * plan.load.payload_bytes),
        fetch_rate,
        tail_rate,
        look_up_ms,
        open_s,
        ack_ms,
        sync_ms,
        upkeep.busy_ms / upkeep.alone_ms,
        *(math.nan if one is None else one for one in wear),
    )


def build_runs(plan: Plan) -> list[Run]:
    """A few runs of each device, of JSON payloads that differ: more than one commit holds."""
    rng = random.Random(plan.load.seed)
    runs = []
    for run_no in range(DEVICES * RUNS_A_DEVICE):
        device = f"pump-{run_no % DEVICES}"
        origin = Origin(f"plant/{device}/telemetry", device)
        payloads = [
            build_payload(device, run_no * RECORDS_A_RUN + sequence, rng).ljust(
                plan.load.payload_bytes
            )
            for sequence in range(RECORDS_A_RUN)
        ]
        runs.append(
            Run(
                STREAM,
                partition_of(device, PARTITIONS),
                device,
                0,
                [origin] * RECORDS_A_RUN,
                payloads,
                b"\x02" * RECORDS_A_RUN,
            )
        )
    return runs


def build_payload(device: str, sequence: int, rng: random.Random) -> bytes:
    """A reading as a device sends it."""
    reading = {
        "ts": 1_700_000_000_000 + sequence * 100,
        "device": device,
        "temperature": round(rng.gauss(60, 5), 2),
        "pressure": round(rng.gauss(3, 0.5), 3),
        "seq": sequence,
    }
    return json.dumps(reading).encode()


async def fill(store: StreamStore, runs: list[Run], events: int) -> None:
    """Append `events` records, one run a call as a client's would come, many calls in flight."""
    slots = asyncio.Semaphore(APPENDS_IN_FLIGHT)
    commits = set()
    for number in range(events // RECORDS_A_RUN):
        await slots.acquire()
        template = runs[number % len(runs)]
        own = template.slice(0, RECORDS_A_RUN)
        own.arrival_ms = time.time_ns() // 1_000_000
        commit = asyncio.ensure_future(store.append([own]))
        commits.add(commit)
        commit.add_done_callback(lambda done: (slots.release(), commits.discard(done)))
    await asyncio.gather(*commits)


async def fetch_all(store: StreamStore) -> float:
    """Read every partition from its start; returns records a second."""
    count = 0
    started = time.perf_counter()
    for partition in range(PARTITIONS):
        offset, end = await store.bounds(STREAM, partition)
        while offset < end:
            chunk = await store.fetch(STREAM, partition, offset)
            count += sum(batch.count for batch in chunk.batches)
            offset = chunk.next_offset
    return count / (time.perf_counter() - started)


async def read_tail(store: StreamStore, events: int) -> float:
    """Read all partitions merged, from the earliest on; returns records a second."""
    tail = store.tail([STREAM], "earliest")
    count = 0
    started = time.perf_counter()
    while count < events:
        count += sum(batch.count for batch in await tail.next())
    tail.close()
    return count / (time.perf_counter() - started)


async def look_up(store: StreamStore, seed: int) -> float:
    """Find random moments; returns the median time in milliseconds."""
    rng = random.Random(seed)
    extent = (await store.extents(STREAM))[0]
    times_ms = []
    for _ in range(LOOK_UPS):
        moment = rng.randint(extent.first_ms or 0, extent.last_ms or 0)
        started = time.perf_counter()
        await store.offset_at(STREAM, 0, moment)
        times_ms.append((time.perf_counter() - started) * 1000)
    return statistics.median(times_ms)


async def compare_with_sync(store: StreamStore, directory: Path) -> tuple[float, float]:
    """The median times of a lone commit and of a bare sync, taken in turns: disks have moods."""
    ack_times_ms, sync_times_ms = [], []
    for _ in range(LATENCY_TURNS):
        ack_times_ms += await commit_alone(store)
        sync_times_ms += [us / 1000 for us in sync_times_us(directory, LATENCY_PROBES)]
    return statistics.median(ack_times_ms), statistics.median(sync_times_ms)


async def commit_alone(store: StreamStore) -> list[float]:
    """Append single records, each after the one before; returns each time in milliseconds."""
    origin = Origin("plant/pump-0/telemetry", "pump-0")
    times_ms = []
    for _ in range(LATENCY_PROBES):
        run = Run(STREAM, 0, "pump-0", time.time_ns() // 1_000_000, [origin], [b"21.5"], b"\x02")
        started = time.perf_counter()
        await store.append([run])
        times_ms.append((time.perf_counter() - started) * 1000)
    return times_ms


def build_report(plan: Plan, rounds: list[Figures]) -> Report:
    """The medians of all rounds, and the targets of issue 4."""
    middle = Figures(*(statistics.median(values) for values in zip(*rounds, strict=True)))
    syncs = middle.ack_ms / middle.sync_ms
    return Report(
        "store",
        f"{middle.events:,.0f} events of {plan.load.payload_bytes} bytes a round, "
        f"{RECORDS_A_RUN} an append, {PARTITIONS} partitions, fsync on; medians of {len(rounds)}",
        ("what", "measured"),
        rows=[
            ("append, events/s", f"{middle.append_rate:,.0f}"),
            ("append, us of CPU an event", f"{middle.append_cpu_us:.2f}"),
            ("stored bytes a payload byte", f"{middle.stored_ratio:.3f}"),
            ("fetch, events/s", f"{middle.fetch_rate:,.0f}"),
            ("tail of all partitions, events/s", f"{middle.tail_rate:,.0f}"),
            ("look-up by time, ms", f"{middle.look_up_ms:.2f}"),
            ("opening, s", f"{middle.open_s:.3f}"),
            ("commit of one record, ms", f"{middle.ack_ms:.2f}"),
            ("p99 of acks while all upkeep runs, times", f"{middle.upkeep_ratio:.2f}"),
            (f"bytes written a payload byte, {MANY_A_SECOND}/s", f"{middle.wear_many:.2f}"),
            (f"bytes written a payload byte, {FEW_A_SECOND}/s", f"{middle.wear_few:.2f}"),
        ],
        targets=[
            Target(
                f"append >= {APPEND_MIN:,}/s",
                f"{middle.append_rate:,.0f}/s",
                middle.append_rate >= APPEND_MIN,
            ),
            Target(
                f"fetch >= {FETCH_MIN:,}/s",
                f"{middle.fetch_rate:,.0f}/s",
                middle.fetch_rate >= FETCH_MIN,
            ),
            Target(
                f"look-up <= {LOOK_UP_MS_MAX:g} ms",
                f"{middle.look_up_ms:.2f} ms",
                middle.look_up_ms <= LOOK_UP_MS_MAX,
            ),
            Target(
                f"opening <= {OPEN_S_MAX:g} s",
                f"{middle.open_s:.3f} s",
                middle.open_s <= OPEN_S_MAX,
            ),
            Target(
                f"a lone commit <= {SYNCS_MAX:g} syncs", f"{syncs:.1f} syncs", syncs <= SYNCS_MAX
            ),
            *upkeep_targets(middle),
        ],
        figures={"rounds": [figures._asdict() for figures in rounds]},
    )


def upkeep_targets(middle: Figures) -> list[Target]:
    """What retention, compaction, backup, replays and the flash may cost."""
    return [
        Target(
            f"p99 with upkeep <= {UPKEEP_MAX:g} x without",
            f"{middle.upkeep_ratio:.2f} x",
            middle.upkeep_ratio <= UPKEEP_MAX,
        ),
        Target(
            f"written at {MANY_A_SECOND}/s <= {WEAR_MANY_MAX:g} a byte",
            f"{middle.wear_many:.2f}",
            middle.wear_many <= WEAR_MANY_MAX,
        ),
        Target(
            f"written at {FEW_A_SECOND}/s <= {WEAR_FEW_MAX:g} a byte",
            f"{middle.wear_few:.2f}",
            middle.wear_few <= WEAR_FEW_MAX,
        ),
    ]
