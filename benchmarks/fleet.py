"""The scenario `fleet`: how many simulated devices one process carries, and how fast it goes.

The devices are those of `penstock sim run`: each with its own connection, keep-alive, back-off,
buffer and signals. They talk to a gateway on the same machine; what counts is the processor time of
their process alone, from when all are connected to the last second of the run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.ingest.measurement import measure_server
from benchmarks.plan import Plan
from benchmarks.report import Report, Target
from benchmarks.servers import Penstock, ServerFailed, Sink, allow_many_files, running
from benchmarks.usage import measure
from firmware_sim.account import Ledger
from firmware_sim.device import Device, RunPlan
from firmware_sim.line import LineOptions
from firmware_sim.loader import load_scenario
from firmware_sim.sink import Sink as VirtualSink
from firmware_sim.virtual import VirtualRun

COLUMNS = ("fleet", "devices", "connected", "readings/s", "CPU % of a core", "ack p99 ms")
SCENARIO = "smart-meters"
IDLE_HZ = 0.001
CPU_PERCENT_MAX = 100.0
RATE_SHARE_MIN = 0.98
SPEED_MIN = 100.0
CEILING_PER_S_MIN = 300_000
VIRTUAL_DEVICES = 100
VIRTUAL_S = 60
START_MS = 1_790_000_000_000


class Wish(NamedTuple):
    """One fleet."""

    name: str
    devices: int
    rate_hz: float
    seconds: int


class Found(NamedTuple):
    """What it came to."""

    connected: int
    readings_per_s: float
    cpu_percent: float
    ack_p99_ms: int


def run(plan: Plan) -> Report:
    """Run a busy fleet, an idle one, one on virtual time, and the load generator."""
    scale = 10 if plan.is_quick else 1
    seconds = 10 if plan.is_quick else 40
    busy = Wish("1 reading a second", 5_000 // scale, 1.0, seconds)
    idle = Wish("idle, keep-alive 30 s", 10_000 // scale, IDLE_HZ, seconds + 20)
    print(f"  {busy.devices} devices at {busy.rate_hz:g} Hz ...", flush=True)
    worked = run_fleet(busy, plan)
    print(f"  {idle.devices} idle devices ...", flush=True)
    idled = run_fleet(idle, plan)
    print("  virtual time ...", flush=True)
    speed = max(virtual_speed() for _ in range(plan.rounds))
    print("  the load generator against a sink ...", flush=True)
    ceiling = measure_server(Sink(), plan.load, plan.directory).messages_per_s
    report = Report(
        "fleet",
        f"scenario {SCENARIO}, one process of simulated devices against a gateway; "
        f"{VIRTUAL_DEVICES} devices at 1 Hz on virtual time, best of {plan.rounds}",
        COLUMNS,
        [row(wish, found) for wish, found in ((busy, worked), (idle, idled))],
        judge(busy, worked, idle, idled),
    )
    report.targets += [
        Target(
            f"{VIRTUAL_DEVICES} devices on virtual time >= {SPEED_MIN:g} x real time",
            f"{speed:.0f} x",
            speed >= SPEED_MIN,
        ),
        Target(
            f"bench ingest >= {CEILING_PER_S_MIN:,}/s against a sink",
            f"{ceiling:,.0f}/s",
            ceiling >= CEILING_PER_S_MIN,
        ),
    ]
    report.figures = {
        "busy": worked._asdict(),
        "idle": idled._asdict(),
        "virtual_speed": speed,
        "ceiling_per_s": ceiling,
    }
    return report


def row(wish: Wish, found: Found) -> tuple[str, ...]:
    """One line of the table."""
    return (
        wish.name,
        f"{wish.devices:,}",
        f"{found.connected:,}",
        f"{found.readings_per_s:,.0f}",
        f"{found.cpu_percent:.0f}",
        f"{found.ack_p99_ms}",
    )


def judge(busy: Wish, worked: Found, idle: Wish, idled: Found) -> list[Target]:
    """Compare with what issue 7 says must be reached."""
    wanted = busy.devices * busy.rate_hz
    return [
        Target(
            f"{busy.devices:,} devices at {busy.rate_hz:g} Hz from one process",
            f"{worked.readings_per_s:,.0f} readings/s",
            worked.readings_per_s >= RATE_SHARE_MIN * wanted,
        ),
        Target("on one core", f"{worked.cpu_percent:.0f} %", worked.cpu_percent <= CPU_PERCENT_MAX),
        Target(
            f"{idle.devices:,} idle ones, all connected",
            f"{idled.connected:,}",
            idled.connected == idle.devices,
        ),
        Target("on one core", f"{idled.cpu_percent:.0f} %", idled.cpu_percent <= CPU_PERCENT_MAX),
    ]


def run_fleet(wish: Wish, plan: Plan) -> Found:
    """Run one fleet against a gateway of its own.

    Raises:
        ServerFailed: the fleet was never complete.
    """
    allow_many_files()
    with running(Penstock(), plan.directory) as place:
        command = [
            sys.executable, "-m", "firmware_sim", "run", SCENARIO, "--json", "--drain", "5s",
            "--port", str(place.port), "--devices", str(wish.devices),
            "--rate", str(wish.rate_hz), "--duration", str(wish.seconds),
        ]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.PIPE) as fleet:
            return watch(fleet, wish)


def watch(fleet: subprocess.Popen[bytes], wish: Wish) -> Found:
    """Measure a fleet from when it is complete until its readings end."""
    first: tuple[float, dict[str, int], float] | None = None
    last = first
    for progress in progress_of(fleet):
        now = (time.monotonic(), progress, measure(fleet.pid).cpu_s)
        if progress["elapsed_ms"] >= wish.seconds * 1_000:
            break
        last = now
        if first is None and progress["connected"] == wish.devices:
            first = now
    for _ in progress_of(fleet):
        pass
    if first is None or last is None or last[0] == first[0]:
        connected = 0 if last is None else last[1]["connected"]
        raise ServerFailed(f"only {connected} of {wish.devices} devices were ever connected")
    seconds = last[0] - first[0]
    return Found(
        connected=last[1]["connected"],
        readings_per_s=(last[1]["taken"] - first[1]["taken"]) / seconds,
        cpu_percent=(last[2] - first[2]) / seconds * 100,
        ack_p99_ms=last[1]["latency_ms_p99"],
    )


def progress_of(fleet: subprocess.Popen[bytes]) -> Iterator[dict[str, int]]:
    """What a fleet says of itself, once a second."""
    assert fleet.stdout is not None
    for line in fleet.stdout:
        told = json.loads(line)
        if told["type"] == "progress":
            yield told


def virtual_speed() -> float:
    """How many seconds of a small fleet one second of processor time holds."""
    scenario = load_scenario(SCENARIO).with_rate(1.0)
    ledger = Ledger(keeps_readings=True)
    plan = RunPlan(1, START_MS, scenario.boot_within_ms)
    devices = [
        Device(
            member, plan, LineOptions(member.name),
            ledger.open_account(member.kind.topic(member.name)),
        )
        for member in scenario.members(VIRTUAL_DEVICES)
    ]  # fmt: skip
    fleet = VirtualRun(devices, VirtualSink(), START_MS)
    began_s = time.process_time()
    fleet.run_until(START_MS + VIRTUAL_S * 1_000)
    return VIRTUAL_S / (time.process_time() - began_s)
