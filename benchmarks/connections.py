"""The scenario `connections`: what a server holds in memory for each client that says nothing."""

from __future__ import annotations

from benchmarks.comparing import brokers, interleave, keep, medians_of
from benchmarks.loading import measure_server
from benchmarks.plan import Plan
from benchmarks.report import Report, Target
from benchmarks.servers import Penstock, Server
from firmware_sim.load import HoldLoad

COLUMNS = ("server", "KB a connection", "KB with a subscription", "RSS MB", "s to connect all")
KB_MAX = 12.0


def run(plan: Plan) -> Report:
    """Measure every server in turn, without and with a subscription each."""
    clients = 1000 if plan.is_quick else 10_000
    results = interleave(plan, brokers(plan), lambda server: measure(server, clients, plan))
    report = Report(
        "connections",
        f"{clients:,} silent clients; RSS with them, less RSS before, divided by their number; "
        f"{plan.rounds} rounds, interleaved, medians",
        COLUMNS,
    )
    medians = medians_of(results)
    for name, one in medians.items():
        report.rows.append(
            (
                name,
                f"{one['kb']:.2f}",
                f"{one['kb_subscribed']:.2f}",
                f"{one['rss_mb']:.0f}",
                f"{one['seconds']:.1f}",
            )
        )
    kb = medians[Penstock.name]["kb"]
    report.targets.append(
        Target(f"RSS <= {KB_MAX:g} KB an idle connection", f"{kb:.2f} KB", kb <= KB_MAX)
    )
    keep(report, results)
    return report


def measure(server: Server, clients: int, plan: Plan) -> dict[str, float]:
    """One server, one round, a fresh process for each of both loads."""
    plain, plain_costs = measure_server("hold", server, HoldLoad(clients=clients), plan.directory)
    load = HoldLoad(clients=clients, subscribes=True)
    _, costs = measure_server("hold", server, load, plan.directory)
    return {
        "kb": (plain_costs.rss_bytes - plain_costs.rss_before_bytes) / 1000 / clients,
        "kb_subscribed": (costs.rss_bytes - costs.rss_before_bytes) / 1000 / clients,
        "rss_mb": plain_costs.rss_bytes / 1e6,
        "seconds": plain["seconds"],
    }
