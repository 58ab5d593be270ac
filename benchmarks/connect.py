"""The scenario `connect`: how many new connections a second a server accepts."""

from __future__ import annotations

from benchmarks.comparing import brokers, interleave, keep, medians_of
from benchmarks.loading import measure_server
from benchmarks.plan import Plan
from benchmarks.report import Report
from benchmarks.servers import Server
from firmware_sim.load import ConnectLoad, ConnectMeasured

COLUMNS = ("server", "connects/s", "CPU us/connect", "p50 ms", "p99 ms", "max ms", "failed")


def run(plan: Plan) -> Report:
    """Measure every server in turn."""
    load = ConnectLoad(warm_up_s=plan.load.warm_up_s, measured_s=plan.load.measured_s)
    results = interleave(plan, brokers(plan), lambda server: measure(server, load, plan))
    report = Report(
        "connect",
        f"clients that come, are accepted and go, {load.at_once} at a time; {plan.rounds} rounds "
        f"of {load.measured_s:g} s, interleaved, medians",
        COLUMNS,
    )
    for name, one in medians_of(results).items():
        report.rows.append(
            (
                name,
                f"{one['connects_per_s']:,.0f}",
                f"{one['cpu_us']:.0f}",
                f"{one['p50_ms']:.1f}",
                f"{one['p99_ms']:.1f}",
                f"{one['max_ms']:.1f}",
                f"{one['failures']:.0f}",
            )
        )
    keep(report, results)
    return report


def measure(server: Server, load: ConnectLoad, plan: Plan) -> dict[str, float]:
    """One server, one round."""
    found, costs = measure_server("connect", server, load, plan.directory)
    measured = ConnectMeasured(**found)
    return {
        "connects_per_s": measured.connects_per_s,
        "cpu_us": costs.cpu_s * 1e6 / max(1, measured.connects),
        "p50_ms": measured.latency_us_p50 / 1000,
        "p99_ms": measured.latency_us_p99 / 1000,
        "max_ms": measured.latency_us_max / 1000,
        "failures": measured.failures,
        "generator_share": measured.generator_cpu_s / measured.seconds,
    }
