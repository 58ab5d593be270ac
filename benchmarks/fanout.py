"""The scenario `fanout`: many to one with QoS 1, and one to a thousand with QoS 0."""

from __future__ import annotations

from benchmarks.comparing import brokers, interleave, keep, medians_of, ratio
from benchmarks.loading import measure_server
from benchmarks.plan import Plan
from benchmarks.report import Report, Target
from benchmarks.servers import Server
from firmware_sim.load import FanoutLoad, FanoutMeasured

COLUMNS = ("load and server", "published/s", "deliveries/s", "lost", "CPU us/delivery", "RSS MB")
TO_ONE_RATIO_MIN = 1.0
TO_MANY_RATIO_MIN = 0.5


def run(plan: Plan) -> Report:
    """Measure both directions, every server in turn."""
    times = {"warm_up_s": plan.load.warm_up_s, "measured_s": plan.load.measured_s}
    many = 100 if plan.is_quick else 1000
    to_one = FanoutLoad(publishers=100, subscribers=1, qos=1, **times)
    to_many = FanoutLoad(publishers=1, subscribers=many, qos=0, **times)
    report = Report(
        "fanout",
        f"{plan.rounds} rounds of {plan.load.measured_s:g} s and until the last delivery, "
        "interleaved, medians; 120 bytes of JSON, publishers with QoS 1 and a window of 100",
        COLUMNS,
    )
    add(report, plan, to_one, "100 to 1 subscriber, QoS 1", TO_ONE_RATIO_MIN)
    add(report, plan, to_many, f"1 to {many} subscribers, QoS 0", TO_MANY_RATIO_MIN)
    return report


def add(report: Report, plan: Plan, load: FanoutLoad, title: str, ratio_min: float) -> None:
    """Measure one load on every server, and add its rows and its target."""
    results = interleave(plan, brokers(plan), lambda server: measure(server, load, plan), title)
    keep(report, results, f"{title}: ")
    medians = medians_of(results)
    for name, one in medians.items():
        report.rows.append(
            (
                f"{title}: {name}",
                f"{one['published_per_s']:,.0f}",
                f"{one['deliveries_per_s']:,.0f}",
                f"{one['lost_share']:.2%}",
                f"{one['cpu_us']:.2f}",
                f"{one['rss_mb']:.0f}",
            )
        )
    found = ratio(medians, "deliveries_per_s")
    if found is not None:
        what = f"{title}: deliveries/s >= {ratio_min:g} x mosquitto"
        report.targets.append(Target(what, f"{found:.2f} x", found >= ratio_min))


def measure(server: Server, load: FanoutLoad, plan: Plan) -> dict[str, float]:
    """One server, one round."""
    found, costs = measure_server("fanout", server, load, plan.directory)
    measured = FanoutMeasured(**found)
    return {
        "published_per_s": measured.published / measured.seconds,
        "deliveries_per_s": measured.deliveries_per_s,
        "lost_share": measured.lost / max(1, measured.lost + measured.delivered),
        "cpu_us": costs.cpu_s * 1e6 / max(1, measured.delivered),
        "rss_mb": costs.rss_bytes / 1e6,
        "generator_share": measured.generator_cpu_s / measured.seconds,
    }
