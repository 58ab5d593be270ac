"""The scenario `rules-beside`: what twenty rules cost the publishers whose events they watch.

Once without rules, once with rules in a process of their own, once with rules inline; and how long
the rules take to look at what they could not look at under the load.
"""

from __future__ import annotations

import re
import statistics
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks import loading
from benchmarks.ingest.measurement import Result, summarise
from benchmarks.ingest.scenario import median
from benchmarks.plan import Plan
from benchmarks.report import Report, Target
from benchmarks.servers import Penstock, Running, Server, ServerFailed, running
from firmware_sim.load import IngestLoad, IngestMeasured
from firmware_sim.load.sockets import open_client, subscribe

SHARE_MIN = 0.8
RULE_COUNT = 20
DRAIN_S_MAX = 180.0
LAG_TOPIC = "$SYS/broker/penstock/rules/lag"
LAG = re.compile(rb"penstock/rules/lag(\d+)")
CONFIG = "version: 1\nsys_interval: 1s\nrules_place: {place}\n"
RULE = """\
  - id: hot-{number}
    from: "#"
    key: device
    when: payload.temperature > {limit}
    alarm: {{severity: major, message: "too hot"}}
"""


class WatchedPenstock(Penstock):
    """The gateway with rules that evaluate every event, and raise nothing."""

    def __init__(self, name: str, place: str) -> None:
        """Have the rules run in that place."""
        super().__init__()
        self.name = name
        self.place = place

    def command(self, directory: Path, port: int) -> list[str]:
        rules, config = directory / "hot.yaml", directory / "own.yaml"
        texts = [RULE.format(number=number, limit=1_000 + number) for number in range(RULE_COUNT)]
        rules.write_text("version: 1\nrules:\n" + "".join(texts))
        config.write_text(CONFIG.format(place=self.place))
        return [*super().command(directory, port), "--rules", str(rules), "--config", str(config)]


WITHOUT = Penstock()
BESIDE = WatchedPenstock("rules in a process", "process")
INLINE = WatchedPenstock("rules inline", "inline")


@dataclass(frozen=True, slots=True)
class Round:
    """One server under the load, and how long its rules went on afterwards."""

    result: Result
    drain_s: float


def run(plan: Plan) -> Report:
    """Measure all three in turn, round by round."""
    servers: list[Server] = [WITHOUT, BESIDE, INLINE]
    rounds: dict[str, list[Round]] = {server.name: [] for server in servers}
    for round_no in range(plan.rounds):
        for server in servers:
            print(f"  round {round_no + 1} of {plan.rounds}: {server.name} ...", flush=True)
            rounds[server.name].append(measure(server, plan))
    medians = {name: median([one.result for one in own]) for name, own in rounds.items()}
    drains = {name: statistics.median(one.drain_s for one in own) for name, own in rounds.items()}
    return build_report(plan, medians, drains)


def measure(server: Server, plan: Plan) -> Round:
    """One round of one server."""
    with running(server, plan.directory) as place:
        measured, costs = loading.put_load("ingest", place, replace(plan.load, port=place.port))
        result = summarise(IngestMeasured(**measured), costs)
        return Round(result, drain(place) if isinstance(server, WatchedPenstock) else 0.0)


def drain(place: Running) -> float:
    """Wait until the rules have looked at everything; returns the seconds that it took.

    Raises:
        ServerFailed: they have not, in time.
    """
    started_s = time.perf_counter()
    with open_client(IngestLoad(port=place.port), "lag") as client:
        subscribe(client, LAG_TOPIC, 0)
        client.settimeout(DRAIN_S_MAX)
        received = b""
        while time.perf_counter() < started_s + DRAIN_S_MAX:
            received += client.recv(1 << 12)
            lags = [int(found) for found in LAG.findall(received)]
            # The first may be from before the load.
            if len(lags) > 1 and lags[-1] == 0:
                return time.perf_counter() - started_s
    raise ServerFailed(f"the rules still lag after {DRAIN_S_MAX:.0f} s")


def build_report(plan: Plan, medians: dict[str, Result], drains: dict[str, float]) -> Report:
    """The table, and the share of the rate that is left."""
    share = medians[BESIDE.name].messages_per_s / medians[WITHOUT.name].messages_per_s
    return Report(
        "rules-beside",
        f"{RULE_COUNT} threshold rules over everything; {plan.rounds} rounds of "
        f"{plan.load.measured_s:g} s, interleaved, medians; RSS is that of all processes",
        ("penstock", "messages/s", "of without", "ack p99 ms", "RSS MB", "s until no lag"),
        rows=[
            (
                name,
                f"{one.messages_per_s:,.0f}",
                f"{one.messages_per_s / medians[WITHOUT.name].messages_per_s:.2f}",
                f"{one.latency_p99_us / 1_000:.1f}",
                f"{one.rss_bytes / 1e6:.1f}",
                f"{drains[name]:.1f}",
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
        figures={name: {**asdict(one), "drain_s": drains[name]} for name, one in medians.items()},
    )
