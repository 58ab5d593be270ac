"""Servers measured in turn, round by round, and the median of each figure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from benchmarks.plan import Plan
from benchmarks.report import Report
from benchmarks.servers import Mosquitto, Penstock, Server

Figures = Mapping[str, float]


def brokers(plan: Plan) -> list[Server]:
    """Penstock, the checkout that it is compared with if any, and Mosquitto if it is installed."""
    servers: list[Server] = [Penstock()]
    if plan.against is not None:
        servers.append(Penstock(plan.against))
    return [*servers, *(peer for peer in [Mosquitto()] if peer.is_installed)]


def interleave(
    plan: Plan, servers: Sequence[Server], measure: Callable[[Server], Figures], what: str = ""
) -> dict[str, list[Figures]]:
    """Measure every server once in each round; returns each one's figures, round by round."""
    results: dict[str, list[Figures]] = {server.name: [] for server in servers}
    for round_no in range(plan.rounds):
        for server in servers:
            print(f"  round {round_no + 1} of {plan.rounds}: {server.name} {what}...", flush=True)
            results[server.name].append(measure(server))
    return results


def medians_of(results: Mapping[str, Sequence[Figures]]) -> dict[str, dict[str, float]]:
    """The median of each figure by itself."""
    return {
        name: {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        for name, rounds in results.items()
    }


def keep(report: Report, results: Mapping[str, Sequence[Figures]], prefix: str = "") -> None:
    """Put the figures behind the rows into the report."""
    medians = medians_of(results)
    for name, rounds in results.items():
        report.figures[prefix + name] = {"median": medians[name], "rounds": list(rounds)}


def ratio(medians: Mapping[str, Figures], key: str) -> float | None:
    """How many times Mosquitto's figure Penstock's is; None without Mosquitto."""
    peer = medians.get(Mosquitto.name)
    return medians[Penstock.name][key] / max(1e-9, peer[key]) if peer is not None else None
