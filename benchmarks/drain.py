"""The scenario `drain`: a durable session gets what it has missed while ingest goes on."""

from __future__ import annotations

from benchmarks.comparing import brokers, interleave, keep, medians_of
from benchmarks.loading import measure_server
from benchmarks.plan import Plan
from benchmarks.report import Report, Target
from benchmarks.servers import Penstock, Server
from firmware_sim.load import DrainLoad, DrainMeasured

COLUMNS = ("server", "deliveries/s", "out of order", "missing", "ingest meanwhile/s", "RSS MB")
PER_S_MIN = 20_000


def run(plan: Plan) -> Report:
    """Measure every server in turn."""
    load = DrainLoad(missed=50_000 if plan.is_quick else 1_000_000)
    results = interleave(plan, brokers(plan), lambda server: measure(server, load, plan))
    report = Report(
        "drain",
        f"a session with {load.missed:,} missed QoS 1 events comes back, while another client "
        f"publishes {load.background_hz:g} a second; {plan.rounds} rounds, interleaved, medians",
        COLUMNS,
    )
    medians = medians_of(results)
    for name, one in medians.items():
        report.rows.append(
            (
                name,
                f"{one['deliveries_per_s']:,.0f}",
                f"{one['disordered']:.0f}",
                f"{one['missing']:.0f}",
                f"{one['background_per_s']:,.0f}",
                f"{one['rss_mb']:.0f}",
            )
        )
    own = medians[Penstock.name]
    rate = own["deliveries_per_s"]
    wrong = own["disordered"] + own["missing"]
    report.targets += [
        Target(f"drains >= {PER_S_MIN:,}/s", f"{rate:,.0f}/s", rate >= PER_S_MIN),
        Target("everything, each device's in order", f"{wrong:.0f} not", wrong == 0),
    ]
    keep(report, results)
    return report


def measure(server: Server, load: DrainLoad, plan: Plan) -> dict[str, float]:
    """One server, one round."""
    found, costs = measure_server("drain", server, load, plan.directory)
    measured = DrainMeasured(**found)
    return {
        "deliveries_per_s": measured.deliveries_per_s,
        "disordered": measured.disordered,
        "missing": measured.missed - measured.delivered,
        "background_per_s": measured.background / measured.seconds,
        "rss_mb": costs.rss_bytes / 1e6,
    }
