"""The scenario `rules-beside`: what twenty rules cost the publishers whose events they watch."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from benchmarks.ingest.measurement import Result, measure_server
from benchmarks.ingest.scenario import median
from benchmarks.plan import Plan
from benchmarks.report import Report, Target
from benchmarks.servers import Penstock

SHARE_MIN = 0.8
RULE_COUNT = 20
RULE = """\
  - id: hot-{number}
    from: "#"
    key: device
    when: payload.temperature > {limit}
    alarm: {{severity: major, message: "too hot"}}
"""


class WatchedPenstock(Penstock):
    """The gateway with rules that evaluate every event, and raise nothing."""

    name = "penstock with rules"

    def command(self, directory: Path, port: int) -> list[str]:
        rules = directory / "hot.yaml"
        texts = [RULE.format(number=number, limit=1_000 + number) for number in range(RULE_COUNT)]
        rules.write_text("version: 1\nrules:\n" + "".join(texts))
        return [*super().command(directory, port), "--rules", str(rules)]


def run(plan: Plan) -> Report:
    """Measure without and with rules, in turn, round by round."""
    servers = [Penstock(), WatchedPenstock()]
    rounds: dict[str, list[Result]] = {server.name: [] for server in servers}
    for round_no in range(plan.rounds):
        for server in servers:
            print(f"  round {round_no + 1} of {plan.rounds}: {server.name} ...", flush=True)
            rounds[server.name].append(measure_server(server, plan.load, plan.directory))
    return build_report(plan, {name: median(results) for name, results in rounds.items()})


def build_report(plan: Plan, medians: dict[str, Result]) -> Report:
    """The table, and the share of the rate that is left."""
    share = medians[WatchedPenstock.name].messages_per_s / medians[Penstock.name].messages_per_s
    return Report(
        "rules-beside",
        f"{RULE_COUNT} threshold rules over everything; {plan.rounds} rounds of "
        f"{plan.load.measured_s:g} s, interleaved, medians",
        ("server", "messages/s", "CPU us/message", "ack p99 ms"),
        rows=[
            (
                name,
                f"{one.messages_per_s:,.0f}",
                f"{one.cpu_us_per_message:.2f}",
                f"{one.latency_p99_us / 1_000:.1f}",
            )
            for name, one in medians.items()
        ],
        targets=[
            Target(
                f"ingest with rules >= {SHARE_MIN:g} x ingest without",
                f"{share:.2f} x",
                share >= SHARE_MIN,
            )
        ],
        figures={name: asdict(one) for name, one in medians.items()},
    )
