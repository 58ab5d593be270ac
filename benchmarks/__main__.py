"""`python -m benchmarks`: chosen scenarios on a chosen disk; tables and JSON."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.machine import DiskRefused, Machine, describe_machine
from benchmarks.plan import Plan
from benchmarks.report import Report, write_json
from benchmarks.servers import ServerFailed
from firmware_sim.load import IngestLoad
from gateway.errors import PenstockError

SCENARIOS = {
    "ingest": "benchmarks.ingest.scenario",
    "latency": "benchmarks.latency",
    "alert-latency": "benchmarks.alerts",
    "idle": "benchmarks.idle",
    "fanout": "benchmarks.fanout",
    "connect": "benchmarks.connect",
    "storm": "benchmarks.storm",
    "connections": "benchmarks.connections",
    "drain": "benchmarks.drain",
    "store": "benchmarks.store",
    "rules": "benchmarks.rules",
    "rules-beside": "benchmarks.beside",
    "windows": "benchmarks.windows",
    "nab": "benchmarks.nab",
    "decode": "benchmarks.decode",
    "fleet": "benchmarks.fleet",
    "twins": "benchmarks.twins",
}
BUILD = Path(__file__).parent.parent / "build"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios that were named; returns 0 when every target is met, else 1."""
    options = parse(arguments)
    names = list(SCENARIOS) if "all" in options.scenarios else options.scenarios
    options.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=options.directory) as directory:
        try:
            machine = describe_machine(Path(directory))
            print(f"{machine}\n")
            plan = build_plan(options, Path(directory))
            reports = [run(name, plan, machine) for name in names]
        except (DiskRefused, ServerFailed, PenstockError) as error:
            print(f"benchmarks: {error}", file=sys.stderr)
            return 1
    return 0 if all(target.is_met for report in reports for target in report.targets) else 1


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks", description="Measure Penstock and its peers."
    )
    parser.add_argument("scenarios", nargs="*", default=["all"], choices=[*SCENARIOS, "all"])
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--window", type=int, default=100, help="messages in flight a connection")
    parser.add_argument("--payload", type=int, default=120, help="bytes of JSON a message")
    parser.add_argument("--seconds", type=float, default=5.0, help="measured time a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path, default=BUILD, help="where the logs go; a disk")
    parser.add_argument(
        "--against", type=Path, help="another checkout, whose gateway is measured as well"
    )
    parser.add_argument("--corpus", type=Path, help="where the series of `nab` lie")
    parser.add_argument(
        "--quick", action="store_true", help="one short round of each: no figures to quote"
    )
    return parser.parse_args(arguments)


def build_plan(options: argparse.Namespace, directory: Path) -> Plan:
    """Turn the command line into a plan."""
    load = IngestLoad(
        connections=options.connections,
        window=options.window,
        payload_bytes=options.payload,
        measured_s=options.seconds,
        seed=options.seed,
    )
    plan = Plan(
        directory=directory,
        load=load,
        rounds=options.rounds,
        against=options.against,
        corpus=options.corpus,
    )
    if options.quick:
        return replace(
            plan,
            load=replace(load, warm_up_s=0.5, measured_s=1.0),
            rounds=1,
            idle_s=2.0,
            is_quick=True,
        )
    return plan


def run(name: str, plan: Plan, machine: Machine) -> Report:
    """Run one scenario, print its report and keep it."""
    print(f"{name}:", flush=True)
    scenario: Callable[[Plan], Report] = importlib.import_module(SCENARIOS[name]).run
    report = scenario(plan)
    path = write_json(report, machine)
    print(f"\n{report}\n\nkept in {path}\n", flush=True)
    return report


if __name__ == "__main__":
    sys.exit(main())
