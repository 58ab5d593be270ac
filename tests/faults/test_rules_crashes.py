"""kill -9 while the rules evaluate: the alerts are, byte for byte, those of a run without a kill.

The run without a kill is over the same log, ticks included, inline and in one go.
`PENSTOCK_KILLS=200` kills that often instead of a few times.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clock import ManualClock, SystemClock
from gateway.events import Origin, Run
from gateway.pipeline import RouteRow, RulesJob, no_puts, rules_at_work
from gateway.pipeline.workers import rules_worker
from gateway.store import StoreOptions, StreamSpec, open_reader, open_store
from tests.faults.test_crashes import after
from tests.harness.gateway_process import GatewayProcess
from tests.harness.waiting import until, wait_for

SEED = 20_260_104
RULES = Path(__file__).with_name("rules.yaml")
KILLS = int(os.environ.get("PENSTOCK_KILLS", "8"))
GATEWAY_KILLS = max(3, KILLS // 4)
EVENTS_A_LIFE = 1_000
GATEWAY_EVENTS = 8_000
DEVICES = 5
PARTITIONS = 4
RUN_EVENTS = 20
LIFE_S_MAX = 0.12
GATEWAY_LIFE_S_MAX = 0.6
SETTLE_S_MAX = 60.0 + 2 * KILLS
LAST = "pump-last"
SPECS = (
    StreamSpec("alerts", 1),
    StreamSpec("alarms", 1),
    StreamSpec("ticks", 1),
    StreamSpec("presence", 1),
    StreamSpec("telemetry", PARTITIONS),
)
INPUTS = ("telemetry", "ticks")
"""All that the rules read here; in `alarms` lies only what they have said themselves."""

CONFIG = "version: 1\nrules_start: earliest\nrules_place: process\n"

pytestmark = pytest.mark.slow


def runs_of(count: int, seed: int) -> list[Run]:
    """What five pumps say, as it lies in the log: the same for the same seed."""
    chance = random.Random(seed)
    start_ms = SystemClock().now_ms()
    values = [55.0] * DEVICES
    runs = []
    for number in range(count // RUN_EVENTS):
        device = chance.randrange(DEVICES)
        payloads = []
        for step in range(RUN_EVENTS):
            values[device] += chance.uniform(-4, 4) + (55 - values[device]) * 0.02
            ts = start_ms + (number * RUN_EVENTS + step) * 100
            payloads.append(json.dumps({"ts": ts, "value": round(values[device], 2)}).encode())
        origin = Origin(f"plant/pump-{device}/state", f"pump-{device}")
        arrival_ms = start_ms + number * RUN_EVENTS * 100
        columns = [origin] * RUN_EVENTS, payloads, bytes(RUN_EVENTS)
        runs.append(Run("telemetry", device % PARTITIONS, "c", arrival_ms, *columns))
    payload = json.dumps({"ts": arrival_ms + RUN_EVENTS * 100, "value": 99}).encode()
    last = [Origin(f"plant/{LAST}/state", LAST)], [payload], bytes(1)
    return [*runs, Run("telemetry", 0, "c", arrival_ms, *last)]


def has_last(alerts: list[bytes]) -> bool:
    """Whether the event behind all the others has raised its alarm."""
    return any(json.loads(alert)["key"] == LAST for alert in alerts[-20:])


def check(found: list[bytes], expected: list[bytes]) -> None:
    """See that both are equal, up to ticks that the one who was stopped has not read any more."""
    assert found == expected[: len(found)]
    assert has_last(found)
    assert len(found) > KILLS


def job_on(data_dir: Path) -> RulesJob:
    return RulesJob(
        data_dir=str(data_dir),
        rules_path=str(RULES),
        profiles_path=None,
        reload_ms=0,
        streams=("telemetry", "alarms", "presence"),
        client_streams=("telemetry",),
        routes=(RouteRow("alerts", ("alerts/#",), 1), RouteRow("telemetry", ("#",), PARTITIONS)),
        device_topics=("+/{device}/#",),
        checkpoint_records=700,
        checkpoint_interval_ms=0,
    )


async def log_in(data_dir: Path):
    store = await open_store(StoreOptions(data_dir), SystemClock())
    for spec in SPECS:
        await store.ensure(spec)
    return store


async def alerts_in(reader) -> list[bytes]:
    chunk = await reader.fetch("alerts", 0, 0, records_max=10**9, bytes_max=1 << 30)
    return [record.payload for batch in chunk.batches for record in batch.records()]


async def read_runs(data_dir: Path) -> list[Run]:
    """All that the rules read of a log, in the order in which they read it."""
    reader = await open_reader(data_dir)
    try:
        count = sum(end for _, end in await ends_of(reader))
        tail, runs, found = reader.tail(INPUTS, "earliest"), [], 0
        while found < count:
            for batch in await tail.next():
                runs += batch.runs
                found += batch.count
        return runs
    finally:
        await reader.close()


async def ends_of(reader) -> set[tuple[tuple[str, int], int]]:
    """Where the partitions end that the rules read, but for those that are empty."""
    specs = [spec for spec in await reader.streams() if spec.name in INPUTS]
    keys = [(spec.name, number) for spec in specs for number in range(spec.partitions)]
    ends = {(key, (await reader.bounds(*key)).log_end_offset) for key in keys}
    return {one for one in ends if one[1]}


async def uninterrupted(data_dir: Path, log: Path) -> list[bytes]:
    """The alerts of rules that read what a log holds in one go, in the process that writes."""
    runs = await read_runs(log)
    store = await log_in(data_dir)
    try:
        await write(store, runs)
        ends = await ends_of(store)
        # A clock that stands still writes no ticks beside those of the log.
        job = replace(job_on(data_dir), checkpoint_records=100_000)
        rules = rules_at_work(job, ManualClock(0), "inline")
        await rules.open()
        running = asyncio.create_task(rules.run(store, no_puts))

        def is_through():
            return rules.evaluation and rules.evaluation.progress._positions.items() >= ends

        await until(is_through, "the rules to read all", seconds=SETTLE_S_MAX)
        await rules.stop()
        await running
        return await alerts_in(store)
    finally:
        await store.close()


async def test_a_worker_killed_at_any_moment_changes_no_byte_of_the_alerts(tmp_path, monkeypatch):
    print("seed", SEED)
    monkeypatch.setattr(rules_worker, "PAUSE_S_MIN", 0.001)
    monkeypatch.setattr(rules_worker, "PAUSE_S_MAX", 0.001)
    chance = random.Random(SEED)
    *runs, last = runs_of(EVENTS_A_LIFE * KILLS, SEED)
    store = await log_in(tmp_path / "log")
    worker = rules_at_work(job_on(tmp_path / "log"), SystemClock(), "process")
    await worker.open()
    running = asyncio.create_task(worker.run(store, no_puts))
    share = EVENTS_A_LIFE // RUN_EVENTS
    for life in range(KILLS):
        await until(lambda: worker._host is not None, "the worker to begin")
        writing = asyncio.create_task(write(store, runs[life * share : (life + 1) * share]))
        await until(after(chance.uniform(0, LIFE_S_MAX)), "the moment of the kill")
        os.kill(worker.pid, signal.SIGKILL)
        await writing
        await until(lambda n=life: worker.restarts > n, "the next worker")
    await write(store, [last])
    ends = {one for one in await ends_of(store) if one[0][0] == "telemetry"}
    positions = worker._progress._positions
    await until(lambda: positions.items() >= ends, "the rules to read all", seconds=SETTLE_S_MAX)
    await worker.stop()
    await running
    found = await alerts_in(store)
    await store.close()
    check(found, await uninterrupted(tmp_path / "expected", tmp_path / "log"))


async def write(store, runs: list[Run]) -> None:
    for run in runs:
        await store.append([run.slice(0, len(run))])


async def prepare(data_dir: Path, runs: list[Run]) -> None:
    store = await log_in(data_dir)
    await write(store, runs)
    await store.close()


def logged_alerts(data_dir: Path) -> list[bytes]:
    async def read():
        reader = await open_reader(data_dir)
        try:
            return await alerts_in(reader)
        finally:
            await reader.close()

    return asyncio.run(read())


def children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_gone(pid: int) -> bool:
    """Whether a process has ended; what nobody has waited for yet counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_gateway_killed_while_its_rules_evaluate_changes_no_byte_of_the_alerts(tmp_path):
    print("seed", SEED)
    chance = random.Random(SEED)
    runs = runs_of(GATEWAY_EVENTS, SEED)
    asyncio.run(prepare(tmp_path / "log", runs))
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    config = tmp_path / "gateway.yaml"
    with GatewayProcess(tmp_path / "log", rules=RULES, config=config) as gateway:
        for _ in range(GATEWAY_KILLS):
            wait_for(after(chance.uniform(0, GATEWAY_LIFE_S_MAX)), "the moment of the kill")
            workers = children_of(gateway.pid)
            gateway.kill()
            for worker in workers:
                wait_for(lambda pid=worker: is_gone(pid), "its worker to end by itself")
            gateway.start()
        wait_for(
            lambda: has_last(logged_alerts(gateway.data)),
            "the last alert",
            seconds=SETTLE_S_MAX,
            poll_s=0.2,
        )
        assert gateway.terminate() == 0
    found = logged_alerts(gateway.data)
    check(found, asyncio.run(uninterrupted(tmp_path / "expected", gateway.data)))
