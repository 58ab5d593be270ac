"""`penstock demo`: a gateway, its rules and a fleet, run together and accounted for."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from firmware_sim.account import Verdict
from firmware_sim.alerts import AlertBoard
from firmware_sim.connecting import Target, wait_until
from firmware_sim.failures import SimulationFailed
from firmware_sim.fleet import Fleet, Progress, RunOptions
from firmware_sim.gateway_process import Follower, GatewayProcess, shipped_rules
from firmware_sim.loader import load_scenario
from firmware_sim.log_reader import iso_time, read_log
from firmware_sim.report import Pairs, Report, choose_report, count, progress_pairs, values_of
from firmware_sim.runtime import allow_connections, run_to_end, stop_on_signal
from firmware_sim.scenario import DEVICES_MAX, RATE_HZ_MAX, Scenario
from firmware_sim.switchboard import RunClock
from firmware_sim.verification import settle_with_log
from gateway.clock import SystemClock

SCENARIO = "demo"
STREAM = "telemetry"
ALERTS = "alerts"
DRAIN_MS = 20_000
# Plain lines show so many of each rule's steps; the summary counts them all.
ALERT_LINES_MAX = 3
NO_LIMIT = 1 << 62
ALERTS_QUIET_S = 1.5
PLAIN_EVERY = 5
RATE_HZ_LEAST = 0.1

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
def demo(  # noqa: PLR0913 - a command's flags are its arguments
    devices: Annotated[int, typer.Option(min=1, max=DEVICES_MAX, help="How many.")] = 200,
    rate: Annotated[
        float, typer.Option(min=RATE_HZ_LEAST, max=RATE_HZ_MAX, help="Readings a second of each.")
    ] = 10.0,
    duration: Annotated[float, typer.Option(min=1.0, help="How long, in seconds.")] = 30.0,
    seed: Annotated[int, typer.Option(help="The same seed, the same devices and faults.")] = 1,
    keep: Annotated[
        Path | None, typer.Option(help="Keep the data directory here, to look into it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,  # noqa: FBT002 - typer reads a flag from it
) -> None:
    """Start a gateway with rules and a simulated fleet, and account for every event."""
    scenario = load_scenario(SCENARIO).with_rate(rate)
    options = RunOptions(devices, int(duration * 1_000), seed, DRAIN_MS, keeps_readings=True)
    allow_connections(devices)
    report = choose_report(as_json=as_json, plain_every=PLAIN_EVERY)
    with _place_for(keep) as data_dir, report:
        plot = Demo(scenario, options, data_dir, report)
        if as_json:
            plot.alert_lines_max = NO_LIMIT
        is_good = run_to_end(plot.run())
    if not as_json:
        typer.echo("\n" + "\n".join(next_steps(keep)))
    if not is_good:
        raise typer.Exit(1)


@contextlib.contextmanager
def _place_for(keep: Path | None) -> Iterator[Path]:
    """The data directory of a demo: a temporary one, unless it is to be kept."""
    if keep is not None:
        try:
            keep.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SimulationFailed(f"can't keep data in {keep}: {error.strerror}") from error
        yield keep
        return
    temporary = Path(tempfile.mkdtemp(prefix="penstock-demo-"))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def next_steps(keep: Path | None) -> list[str]:
    """What somebody who has seen the demo may want to do next."""
    if keep is None:
        return ["To look into the log afterwards: penstock demo --keep DIR"]
    return [
        "Look into what was kept:",
        f"  penstock streams list --data {keep}",
        f"  penstock streams read {ALERTS} --data {keep}",
        f"  penstock streams read {STREAM} --data {keep} --device pump-1 --limit 5 --json",
        "Run the gateway on it, and your own devices against the gateway:",
        f"  penstock serve --data {keep}",
    ]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a demo ended."""

    progress: Progress
    verdict: Verdict
    alerts: AlertBoard
    exit_status: int

    @property
    def is_good(self) -> bool:
        """Something was acknowledged, all of it is in the log, and the gateway stopped cleanly."""
        return self.verdict.is_good and self.verdict.acknowledged > 0 and self.exit_status == 0


class Demo:
    """One demo from the start of its gateway to its summary."""

    def __init__(
        self, scenario: Scenario, options: RunOptions, data_dir: Path, report: Report
    ) -> None:
        self.alert_lines_max = ALERT_LINES_MAX
        """How many steps of each rule are told one by one; a live report shows the latest."""
        self._scenario = scenario
        self._options = options
        self._data_dir = data_dir
        self._report = report
        self._clock = RunClock(SystemClock())
        self._start = iso_time(self._clock.now_ms())
        self._gateway = GatewayProcess(data_dir, shipped_rules())
        self._alerts = AlertBoard()
        self._alert_lines: Counter[tuple[str, str]] = Counter()
        self._records = 0
        self._fleet: Fleet | None = None
        self._is_stopped = False

    async def run(self) -> bool:
        """Run it all, show how it ended, and say whether that is as it should be."""
        async with stop_on_signal(self._stop):
            follower = Follower(ALERTS, self._data_dir, self._hear)
            try:
                await self._gateway.start()
                self._announce()
                await follower.start(self._start)
                fleet, final = await self._run_fleet()
                await self._wait_for_alerts()
            finally:
                await follower.stop()
                exit_status = await self._gateway.stop()
            verdict, alerts = await self._settle(fleet)
        ending = Ending(final, verdict, alerts, exit_status)
        self._conclude(ending)
        return ending.is_good

    def _stop(self) -> None:
        self._is_stopped = True
        if self._fleet is not None:
            self._fleet.stop()

    def _announce(self) -> None:
        gateway = self._gateway
        rules = "no rules" if gateway.rules is None else f"rules from {gateway.rules}"
        self._report.tell(
            f"gateway listens on {gateway.host}:{gateway.port}, data in {self._data_dir}, {rules}",
            {"event": "listening", "host": gateway.host, "port": gateway.port},
        )

    async def _run_fleet(self) -> tuple[Fleet, Progress]:
        target = Target(self._gateway.host, self._gateway.port)
        fleet = Fleet(self._scenario, self._options, target, self._clock)
        self._fleet = fleet
        if self._is_stopped:
            fleet.stop()
        return fleet, await fleet.run(self._watch)

    def _watch(self, now: Progress) -> None:
        if not self._gateway.is_running and not self._is_stopped:
            self._report.tell(
                f"THE GATEWAY HAS ENDED: {self._gateway.last_words()}", {"event": "gateway ended"}
            )
            self._stop()
        size_bytes = _size_of(self._data_dir)
        pairs = [
            *progress_pairs(now),
            ("log size", f"{size_bytes / 1e6:,.1f} MB"),
            ("alerts", f"{len(self._alerts.active)} active, {self._alerts.raised} raised so far"),
        ]
        if self._report.is_live:
            pairs.append(("latest alerts", "\n".join(self._alerts.latest)))
        values = {**values_of(now), "log_bytes": size_bytes, "alerts": len(self._alerts.active)}
        self._report.show(f"{now.elapsed_ms / 1_000:4.0f} s", pairs, values)

    def _hear(self, record: dict[str, Any]) -> None:
        line = self._alerts.note(record)
        self._records += 1
        if line is None or self._report.is_live:
            return
        step = (str(record["payload"].get("rule")), str(record["payload"].get("event")))
        self._alert_lines[step] += 1
        if self._alert_lines[step] <= self.alert_lines_max:
            self._report.tell(line, {"event": "alert", "alert": record["payload"]})
        elif self._alert_lines[step] == self.alert_lines_max + 1:
            self._report.tell(f"(more of {step[0]} {step[1]} follow)", {"event": "alerts thinned"})

    async def _wait_for_alerts(self) -> None:
        """Give the rules the time to judge what came last."""
        heard = -1
        while heard != self._records and self._gateway.is_running:
            heard = self._records
            await wait_until(lambda: self._records != heard, ALERTS_QUIET_S)  # noqa: B023 - awaited at once

    async def _settle(self, fleet: Fleet) -> tuple[Verdict, AlertBoard]:
        """Read the log of the stopped gateway, and compare."""
        self._report.tell(
            "the gateway has stopped; reading its log back", {"event": "gateway stopped"}
        )
        verdict = await settle_with_log(fleet, self._data_dir, STREAM)
        alerts = AlertBoard()
        async for record in read_log(ALERTS, self._data_dir, self._start):
            alerts.note(record)
        return verdict, alerts

    def _conclude(self, ending: Ending) -> None:
        outcome = (
            "every acknowledged event is in the log" if ending.is_good else "NOT AS IT SHOULD BE"
        )
        values = {
            **values_of(ending.progress),
            "account": values_of(ending.verdict),
            "alerts": ending.alerts.as_values(),
            "gateway_exit_status": ending.exit_status,
            "ok": ending.is_good,
        }
        self._report.conclude(f"penstock demo: {outcome}", summary_pairs(ending), values)


def summary_pairs(ending: Ending) -> Pairs:
    """The end of a demo, for a person."""
    progress, verdict = ending.progress, ending.verdict
    duplicates = verdict.copies - verdict.stored_once - verdict.stored_again
    pairs = [
        ("published", f"{count(progress.published)}, and {count(progress.repeats)} sent again"),
        ("acknowledged", count(verdict.acknowledged)),
        ("stored", f"{count(verdict.copies)} records"),
        ("lost", count(verdict.missing)),
        ("duplicates", f"{count(duplicates)} (sent again before the acknowledgement was heard)"),
        ("reconnects", count(progress.reconnects)),
    ]
    if verdict.unacknowledged + verdict.buffered:
        pairs.append(("not acknowledged", count(verdict.unacknowledged + verdict.buffered)))
    if ending.exit_status:
        pairs.append(("gateway", f"ended with exit status {ending.exit_status}"))
    if not ending.alerts.counts_by_rule:
        pairs.append(("alerts", "none"))
    for rule, seen in sorted(ending.alerts.counts_by_rule.items()):
        pairs.append((f"alert {rule}", f"raised {seen.raised}, cleared {seen.cleared}"))
        pairs.append(("  latest", f"{seen.where}: {seen.reason}"))
    return pairs


def _size_of(folder: Path) -> int:
    """The bytes of the files in a folder; one that vanishes meanwhile counts as empty."""
    size_bytes = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            size_bytes += path.stat().st_size
    return size_bytes
