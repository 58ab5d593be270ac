"""The scenario `storm`: thousands come back at once, and what the others notice of it."""

from __future__ import annotations

from benchmarks.comparing import brokers, interleave, keep, medians_of, ratio
from benchmarks.loading import measure_server
from benchmarks.plan import Plan
from benchmarks.report import Report, Target
from benchmarks.servers import Penstock, Server
from firmware_sim.load import StormLoad, StormMeasured

COLUMNS = (
    "server", "all back s", "half back s", "retries", "ack p50 ms", "ack p99 ms", "ack max ms",
    "quiet p99 ms",
)  # fmt: skip
BACK_RATIO_MAX = 3.0
ACK_P99_MS_MAX = 250.0


def run(plan: Plan) -> Report:
    """Measure every server in turn."""
    load = StormLoad(clients=500 if plan.is_quick else 5000)
    results = interleave(plan, brokers(plan), lambda server: measure(server, load, plan))
    report = Report(
        "storm",
        f"{load.clients} clients with a subscription each reconnect at once; meanwhile "
        f"{load.steady} others publish {load.rate_hz:g} QoS 1 messages a second each; "
        f"{plan.rounds} rounds, interleaved, medians",
        COLUMNS,
    )
    medians = medians_of(results)
    for name, one in medians.items():
        report.rows.append(
            (
                name,
                f"{one['all_back_s']:.2f}",
                f"{one['half_back_s']:.2f}",
                f"{one['retries']:.0f}",
                f"{one['ack_p50_ms']:.1f}",
                f"{one['ack_p99_ms']:.1f}",
                f"{one['ack_max_ms']:.1f}",
                f"{one['quiet_p99_ms']:.1f}",
            )
        )
    found = ratio(medians, "all_back_s")
    if found is not None:
        what = f"all back within {BACK_RATIO_MAX:g} x mosquitto's time"
        report.targets.append(Target(what, f"{found:.2f} x", found <= BACK_RATIO_MAX))
    p99_ms = medians[Penstock.name]["ack_p99_ms"]
    what = f"connected clients' p99 ack <= {ACK_P99_MS_MAX:g} ms"
    report.targets.append(Target(what, f"{p99_ms:.1f} ms", p99_ms <= ACK_P99_MS_MAX))
    keep(report, results)
    return report


def measure(server: Server, load: StormLoad, plan: Plan) -> dict[str, float]:
    """One server, one round."""
    found, _ = measure_server("storm", server, load, plan.directory)
    measured = StormMeasured(**found)
    return {
        "all_back_s": measured.all_back_s,
        "half_back_s": measured.half_back_s,
        "retries": measured.retries,
        "ack_p50_ms": measured.ack_us_p50 / 1000,
        "ack_p99_ms": measured.ack_us_p99 / 1000,
        "ack_max_ms": measured.ack_us_max / 1000,
        "quiet_p99_ms": measured.quiet_ack_us_p99 / 1000,
    }
