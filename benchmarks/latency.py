"""The scenario `latency`: one message in flight; its ack against the disk's own sync."""

from __future__ import annotations

import statistics
from dataclasses import asdict, replace

from benchmarks.comparing import brokers
from benchmarks.ingest.measurement import Result, measure_server
from benchmarks.ingest.scenario import median
from benchmarks.machine import sync_times_us
from benchmarks.plan import Plan
from benchmarks.report import Report, Target
from benchmarks.servers import Penstock

SYNC_RATIO_MAX = 3.0
SYNC_PROBES = 500


def run(plan: Plan) -> Report:
    """Measure syncs and acks in turn, round by round, and compare their medians."""
    load = replace(plan.load, connections=1, window=1)
    servers = brokers(plan)
    syncs_us: list[float] = []
    results: dict[str, list[Result]] = {server.name: [] for server in servers}
    for round_no in range(plan.rounds):
        print(f"  round {round_no + 1} of {plan.rounds} ...", flush=True)
        for server in servers:
            syncs_us += sync_times_us(plan.directory, SYNC_PROBES)
            results[server.name].append(measure_server(server, load, plan.directory))
    return build_report(plan, syncs_us, {name: median(rounds) for name, rounds in results.items()})


def build_report(plan: Plan, syncs_us: list[float], medians: dict[str, Result]) -> Report:
    """The table, with the disk's own sync as its first line."""
    sync_us = statistics.median(syncs_us)
    ratio = medians[Penstock.name].latency_p50_us / sync_us
    return Report(
        "latency",
        f"one connection, window 1; {plan.rounds} rounds of {plan.load.measured_s:g} s, medians",
        ("what", "p50 us", "p99 us", "max us", "times the sync"),
        rows=[
            line(
                "fdatasync of a 4 KiB append", sync_us, quantile(syncs_us, 0.99), max(syncs_us), 1
            ),
            *(
                line(
                    f"ack of {name}",
                    result.latency_p50_us,
                    result.latency_p99_us,
                    result.latency_max_us,
                    result.latency_p50_us / sync_us,
                )
                for name, result in medians.items()
            ),
        ],
        targets=[
            Target(
                f"median ack <= {SYNC_RATIO_MAX:g} x median sync",
                f"{ratio:.2f} x",
                ratio <= SYNC_RATIO_MAX,
            )
        ],
        figures={
            "sync_us_median": sync_us,
            **{name: asdict(result) for name, result in medians.items()},
        },
    )


def quantile(values: list[float], part: float) -> float:
    """The value that `part` of all don't pass."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def line(what: str, p50_us: float, p99_us: float, max_us: float, ratio: float) -> tuple[str, ...]:
    """One row of the table."""
    return (what, f"{p50_us:.0f}", f"{p99_us:.0f}", f"{max_us:.0f}", f"{ratio:.2f}")
