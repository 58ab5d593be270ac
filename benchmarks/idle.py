"""The scenario `idle`: how soon the gateway accepts, and what it costs while nothing happens."""

from __future__ import annotations

import statistics
import time

from benchmarks.plan import Plan
from benchmarks.report import Report, Target
from benchmarks.servers import Penstock, running
from benchmarks.usage import measure

RSS_MB_MAX = 60.0
CPU_PERCENT_MAX = 0.5
START_S_MAX = 1.0
SETTLE_S = 1.0


def run(plan: Plan) -> Report:
    """Start the gateway several times; let each be idle for a while."""
    starts_s, rss_mb, cpu_percent = [], [], []
    for round_no in range(plan.rounds):
        print(f"  round {round_no + 1} of {plan.rounds} ...", flush=True)
        with running(Penstock(), plan.directory) as place:
            time.sleep(SETTLE_S)
            before = measure(place.pid)
            time.sleep(plan.idle_s)
            after = measure(place.pid)
        starts_s.append(place.start_s)
        rss_mb.append(after.rss_bytes / 1e6)
        cpu_percent.append((after.cpu_s - before.cpu_s) / plan.idle_s * 100)
    return build_report(plan, starts_s, rss_mb, cpu_percent)


def build_report(
    plan: Plan, starts_s: list[float], rss_mb: list[float], cpu_percent: list[float]
) -> Report:
    """The medians, and the targets of issue 2."""
    start_s = statistics.median(starts_s)
    rss = statistics.median(rss_mb)
    cpu = statistics.median(cpu_percent)
    return Report(
        "idle",
        f"{plan.rounds} starts, {plan.idle_s:g} s without a client each, medians",
        ("server", "s from spawn to CONNACK", "RSS MB", "CPU % of a core"),
        rows=[(Penstock.name, f"{start_s:.3f}", f"{rss:.1f}", f"{cpu:.2f}")],
        targets=[
            Target(f"accepts within {START_S_MAX:g} s", f"{start_s:.3f} s", start_s <= START_S_MAX),
            Target(f"RSS <= {RSS_MB_MAX:g} MB", f"{rss:.1f} MB", rss <= RSS_MB_MAX),
            Target(
                f"CPU <= {CPU_PERCENT_MAX:g} % of a core", f"{cpu:.2f} %", cpu <= CPU_PERCENT_MAX
            ),
        ],
        figures={"start_s": starts_s, "rss_mb": rss_mb, "cpu_percent": cpu_percent},
    )
