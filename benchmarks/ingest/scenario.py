"""The scenario `ingest`: every server under the same load, in turn, round by round."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace

from benchmarks.ingest.measurement import Result, measure_server
from benchmarks.plan import Plan
from benchmarks.report import Report, Target
from benchmarks.servers import Amqtt, Mosquitto, Penstock, Server, Sink

COLUMNS = (
    "server", "messages/s", "CPU us/message", "ack p50 ms", "ack p99 ms", "ack max ms", "RSS MB",
    "generator CPU", "penstock is",
)  # fmt: skip
MOSQUITTO_RATIO_MIN = 1.0
AMQTT_RATIO_MIN = 20.0
CPU_US_MAX = 5.0
CEILING_PER_S_MIN = 300_000
GENERATOR_SHARE_MAX = 0.95


def run(plan: Plan) -> Report:
    """Measure every installed server, interleaved, and judge Penstock by issue 2."""
    others = [] if plan.against is None else [Penstock(plan.against)]
    servers: list[Server] = [Sink(), Penstock(), *others, Mosquitto(), Amqtt()]
    installed = [server for server in servers if server.is_installed]
    results: dict[str, list[Result]] = {server.name: [] for server in installed}
    for round_no in range(plan.rounds):
        for server in installed:
            print(f"  round {round_no + 1} of {plan.rounds}: {server.name} ...", flush=True)
            results[server.name].append(measure_server(server, plan.load, plan.directory))
            if isinstance(server, (Penstock, Mosquitto)):
                described = f"{server.name}, MQTT 5 with properties"
                print(f"  round {round_no + 1} of {plan.rounds}: {described} ...", flush=True)
                load = replace(plan.load, with_properties=True)
                one = measure_server(server, load, plan.directory)
                results.setdefault(described, []).append(one)
    medians = {name: median(rounds) for name, rounds in results.items()}
    report = Report("ingest", describe(plan), COLUMNS, rows(medians), judge(medians))
    report.figures = {
        name: {"median": asdict(medians[name]), "rounds": [asdict(one) for one in rounds]}
        for name, rounds in results.items()
    }
    report.notes += [
        f"{server.name} is not installed" for server in servers if server not in installed
    ]
    return report


def describe(plan: Plan) -> str:
    """The settings in words."""
    load = plan.load
    return (
        f"QoS 1, MQTT 3.1.1, {load.connections} connections, window {load.window}, "
        f"{load.payload_bytes} bytes of JSON; {plan.rounds} rounds of {load.measured_s:g} s after "
        f"{load.warm_up_s:g} s of warm-up, interleaved, medians"
    )


def median(rounds: Sequence[Result]) -> Result:
    """The median of each figure by itself."""
    return Result(
        *(statistics.median(getattr(one, part.name) for one in rounds) for part in fields(Result))
    )


def rows(medians: Mapping[str, Result]) -> list[Sequence[str]]:
    """One line a server, with how many times faster Penstock is."""
    own = medians[Penstock.name].messages_per_s
    return [
        (
            name,
            f"{result.messages_per_s:,.0f}",
            f"{result.cpu_us_per_message:.2f}",
            f"{result.latency_p50_us / 1000:.2f}",
            f"{result.latency_p99_us / 1000:.2f}",
            f"{result.latency_max_us / 1000:.2f}",
            f"{result.rss_bytes / 1e6:.0f}",
            f"{result.generator_share:.0%}",
            "" if name in (Penstock.name, Sink.name) else f"{own / result.messages_per_s:.2f} x",
        )
        for name, result in medians.items()
    ]


def judge(medians: Mapping[str, Result]) -> list[Target]:
    """Compare with what issue 2 says must be reached, where the peer was there to compare with."""
    own, ceiling = medians[Penstock.name], medians[Sink.name]
    targets = []
    for peer, ratio_min in ((Mosquitto.name, MOSQUITTO_RATIO_MIN), (Amqtt.name, AMQTT_RATIO_MIN)):
        if peer in medians:
            ratio = own.messages_per_s / medians[peer].messages_per_s
            what = f"throughput >= {ratio_min:g} x {peer}"
            targets.append(Target(what, f"{ratio:.2f} x", ratio >= ratio_min))
    cpu_us = own.cpu_us_per_message
    worst_share = max(own.generator_share for own in medians.values())
    return [
        *targets,
        Target(
            f"server CPU <= {CPU_US_MAX:g} us a message", f"{cpu_us:.2f} us", cpu_us <= CPU_US_MAX
        ),
        Target(
            "every message in flight was acknowledged at the end",
            f"{own.unacknowledged:.0f} missing",
            own.unacknowledged == 0,
        ),
        Target(
            f"generator's ceiling >= {CEILING_PER_S_MIN:,}/s and 2 x penstock",
            f"{ceiling.messages_per_s:,.0f}/s",
            ceiling.messages_per_s >= max(CEILING_PER_S_MIN, 2 * own.messages_per_s),
        ),
        Target(
            f"generator uses <= {GENERATOR_SHARE_MAX:.0%} of a core",
            f"{worst_share:.0%}",
            worst_share <= GENERATOR_SHARE_MAX,
        ),
    ]
