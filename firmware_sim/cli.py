"""`penstock sim`: run a simulated fleet, replay a recording, show what scenarios there are."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson
import typer

from firmware_sim.account import READINGS_MAX, Verdict
from firmware_sim.connecting import Target
from firmware_sim.credentials import check_credentials, read_credentials
from firmware_sim.description import describe_scenario
from firmware_sim.failures import SimulationFailed
from firmware_sim.fleet import Fleet, Progress, RunOptions
from firmware_sim.loader import load_scenario, shipped_scenarios
from firmware_sim.paho_publisher import check_paho
from firmware_sim.recording import Recording
from firmware_sim.replay import Replay, ReplayOptions
from firmware_sim.report import (
    Report,
    choose_report,
    outcome_of,
    progress_pairs,
    replay_pairs,
    values_of,
    verdict_pairs,
)
from firmware_sim.retelling import NOW, Retelling
from firmware_sim.runtime import allow_connections, run_to_end, stop_on_signal
from firmware_sim.scenario import DEVICES_MAX, RATE_HZ_MAX, Scenario
from firmware_sim.server_child import ServerChild, ServerPlan
from firmware_sim.switchboard import RunClock
from firmware_sim.verification import WitnessStand, settle_with_log
from gateway.clock import SystemClock
from gateway.documents import parse_duration_ms
from gateway.errors import DocumentInvalid
from gateway.mqtt import ProtocolVersion

CLIENTS: tuple[Literal["firmware", "paho"], ...] = ("firmware", "paho")
VERSIONS = {"3.1.1": ProtocolVersion.V3_1_1, "5": ProtocolVersion.V5}

app = typer.Typer(
    help="Simulated devices: run a fleet, replay a recording.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def complete_scenario(incomplete: str) -> list[str]:
    """The shipped scenarios that begin so, for the shell."""
    return [name for name in shipped_scenarios() if name.startswith(incomplete)]


SCENARIO = typer.Argument(
    help="Name of a shipped scenario, or path of a file.", autocompletion=complete_scenario
)
HOST = typer.Option("127.0.0.1", help="Address of the MQTT server.")
PORT = typer.Option(1883, min=1, max=65_535, help="Its port.")
USERNAME = typer.Option(None, help="User name; {device} in it becomes the device's name.")
PASSWORD = typer.Option(
    None, envvar="PENSTOCK_PASSWORD", show_envvar=True, help="Password; {device} as in --username."
)
PROTOCOL = typer.Option("3.1.1", help="MQTT version: 3.1.1 or 5.")
AS_JSON = typer.Option(False, "--json", help="Print one JSON object a line.")


@app.command()
def run(
    scenario: str = SCENARIO,
    host: str = HOST,
    port: int = PORT,
    devices: int | None = typer.Option(None, min=1, max=DEVICES_MAX, help="How many devices."),
    rate: float | None = typer.Option(
        None, min=0.001, max=RATE_HZ_MAX, help="Readings a second of every device."
    ),
    duration: str | None = typer.Option(None, help="How long, in seconds, or such as 5m."),
    seed: int = typer.Option(1, help="The same seed gives the same readings and faults."),
    verify: bool = typer.Option(
        False, "--verify", help="Account for every reading; exit 1 if an acknowledged one is gone."
    ),
    data: Path | None = typer.Option(
        None, help="With --verify: read the log in this directory, not what the server delivers."
    ),
    stream: str = typer.Option("telemetry", help="With --data: the stream that takes the topics."),
    drain: str = typer.Option("30s", help="How long to wait for acknowledgements at the end."),
    server: str | None = typer.Option(
        None, help="Start this server for the run, such as 'penstock serve --port 1884'."
    ),
    kill_every: str | None = typer.Option(
        None, help="With --server: kill it (SIGKILL) every so often, and start it again."
    ),
    client: str = typer.Option(
        "firmware", help="Who speaks MQTT: 'firmware', or 'paho' for real paho-mqtt clients."
    ),
    summary: Path | None = typer.Option(None, help="Write the summary to this file, as JSON."),
    credentials: Path | None = typer.Option(
        None, help="Each device's key: the file of 'penstock devices import --new-keys', or JSON."
    ),
    username: str | None = USERNAME,
    password: str | None = PASSWORD,
    protocol: str = PROTOCOL,
    as_json: bool = AS_JSON,
) -> None:
    """Run a simulated fleet against an MQTT server."""
    fleet_plan = _load(scenario)
    if rate is not None:
        fleet_plan = fleet_plan.with_rate(rate)
    options = RunOptions(
        devices=devices or fleet_plan.devices,
        duration_ms=fleet_plan.duration_ms if duration is None else _seconds(duration, "duration"),
        seed=seed,
        drain_ms=_seconds(drain, "drain"),
        keeps_readings=verify,
        client=_client(client),
    )
    target = Target(host, port, _version(protocol), username, password)
    _check_exactly_once(fleet_plan, options, target)
    _check(fleet_plan, options, data, is_made=server is not None)
    if credentials is not None:
        target = _with_keys(target, credentials, fleet_plan, options)
    child = _server(server, kill_every, target)
    with choose_report(as_json=as_json) as report:
        backstage = Backstage(data, stream, child, summary)
        running = _run(fleet_plan, options, target, backstage, report)
        is_good = run_to_end(running if child is None else _run_with(child, options, running))
    if not is_good:
        raise typer.Exit(1)


def _with_keys(
    target: Target, credentials: Path, scenario: Scenario, options: RunOptions
) -> Target:
    """The target, with a key for each device of the fleet."""
    keys = read_credentials(credentials)
    names = [member.name for member in scenario.members(options.devices)]
    check_credentials(keys, names, credentials)
    return dataclasses.replace(target, keys=keys)


@dataclass(frozen=True, slots=True)
class Backstage:
    """What a run has beside its fleet: the server's log, its process if ours, the summary file."""

    data_dir: Path | None
    stream: str
    child: ServerChild | None
    summary: Path | None


def _server(command: str | None, kill_every: str | None, target: Target) -> ServerChild | None:
    if command is None:
        if kill_every is not None:
            raise typer.BadParameter(
                "it kills the server of --server; add --server", param_hint="--kill-every"
            )
        return None
    every_ms = 0 if kill_every is None else _seconds(kill_every, "kill-every")
    return ServerChild(ServerPlan(command, target.host, target.port, every_ms))


async def _run_with(
    child: ServerChild, options: RunOptions, running: Coroutine[Any, Any, bool]
) -> bool:
    """Run while the server is killed and started again; it stops when all is settled."""
    has_started = False
    try:
        await child.start()
        has_started = True
    finally:
        if not has_started:
            running.close()
    try:
        async with asyncio.TaskGroup() as group:
            killing = group.create_task(child.keep_killing(options.duration_ms))
            is_good = await running
            killing.cancel()
    except* SimulationFailed as failed:
        raise failed.exceptions[0] from None
    finally:
        await child.stop()
    return is_good


async def _run(
    scenario: Scenario,
    options: RunOptions,
    target: Target,
    backstage: Backstage,
    report: Report,
) -> bool:
    """Run a fleet, settle its account, and say whether all is well."""
    clock = RunClock(SystemClock())
    fleet = Fleet(scenario, options, target, clock)
    data_dir = backstage.data_dir
    stand = None
    if options.keeps_readings and data_dir is None:
        stand = WitnessStand(fleet, target, clock)
        await stand.begin()
    title = f"{scenario.name}, {options.devices} devices, seed {options.seed}"
    async with stop_on_signal(fleet.stop):
        final = await fleet.run(lambda now: report.show(title, progress_pairs(now), values_of(now)))
    for trouble in fleet.troubles():
        report.tell(f"connections ended: {trouble}", {"trouble": trouble})
    verdict: Verdict | None = None
    if stand is not None:
        verdict = await stand.end()
    elif options.keeps_readings and data_dir is not None:
        verdict = await settle_with_log(fleet, data_dir, backstage.stream)
    values = {"scenario": scenario.name, "seed": options.seed, **values_of(final)}
    if backstage.child is not None:
        values["kills"] = backstage.child.kills
        title += f", server killed {backstage.child.kills} times"
    is_good = _conclude(final, verdict, title, values, report)
    if backstage.summary is not None:
        _write_summary(backstage.summary, values)
    return is_good


def _write_summary(path: Path, values: dict[str, Any]) -> None:
    try:
        path.write_bytes(orjson.dumps(values, option=orjson.OPT_INDENT_2) + b"\n")
    except OSError as error:
        raise SimulationFailed(f"can't write the summary to {path}: {error.strerror}") from error


def _conclude(
    final: Progress, verdict: Verdict | None, title: str, values: dict[str, Any], report: Report
) -> bool:
    """Show the end of a run, and say whether all is well."""
    pairs = list(progress_pairs(final))
    if verdict is None:
        is_good = final.in_flight + final.buffered == 0
        outcome = "everything is acknowledged" if is_good else "not everything was acknowledged"
    else:
        pairs += verdict_pairs(verdict)
        values["account"] = values_of(verdict)
        is_good = verdict.is_good
        outcome = outcome_of(verdict)
    values["ok"] = is_good
    report.conclude(f"{title}: {outcome}", pairs, values)
    # Without --verify a run that was merely cut short has done what it was asked.
    return is_good or verdict is None


@app.command("replay")
def replay_recording(
    file: Path = typer.Argument(help="CSV or JSON lines (.jsonl, .ndjson), also gzipped."),
    topic: str = typer.Option(help="Topic; a {column} in it becomes that column's value."),
    host: str = HOST,
    port: int = PORT,
    time_column: str = typer.Option("timestamp", help="The column that holds the event time."),
    speed: str = typer.Option("max", help="'max', or xN: N times as fast as recorded."),
    field: list[str] | None = typer.Option(
        None, help="Publish only this column, as column or column=name; may be repeated."
    ),
    shift: str = typer.Option(
        "0s", help="Move every time: 'now' begins now, or a duration such as 1h or -30m."
    ),
    loop: int = typer.Option(1, min=0, help="How often to play it; 0 is until Ctrl-C."),
    qos: int = typer.Option(1, min=0, max=1, help="MQTT quality of service."),
    client_id: str | None = typer.Option(None, help="MQTT client identifier."),
    window: int = typer.Option(100, min=1, max=10_000, help="Most unacknowledged rows at a time."),
    give_up: str = typer.Option("60s", help="Stop when nothing is acknowledged for so long."),
    username: str | None = USERNAME,
    password: str | None = PASSWORD,
    protocol: str = PROTOCOL,
    as_json: bool = AS_JSON,
) -> None:
    """Publish a recorded series, one event a row, and see every row acknowledged."""
    options = ReplayOptions(
        client_id=client_id or f"penstock-replay-{os.getpid()}",
        qos=qos,
        window=window,
        speed=_speed(speed),
        give_up_ms=_seconds(give_up, "give-up"),
    )
    target = Target(host, port, _version(protocol), username, password)
    recording = Recording(file, topic, time_column, _fields(field))
    retelling = Retelling(loop, _shift(shift))
    replay = Replay(recording, options, target, RunClock(SystemClock()), retelling)
    with choose_report(as_json=as_json) as report:
        is_good = run_to_end(_replay(replay, f"{file.name} to {topic}", report))
    if not is_good:
        raise typer.Exit(1)


async def _replay(replay: Replay, title: str, report: Report) -> bool:
    """Replay, show the result, and say whether every row is acknowledged."""
    async with stop_on_signal(replay.stop):
        final = await replay.run(lambda now: report.show(title, replay_pairs(now), values_of(now)))
    done = final.acknowledged if replay.options.qos else final.published
    is_good = done == final.rows
    outcome = "every row is acknowledged" if replay.options.qos else "every row is sent"
    if not is_good:
        outcome = f"{final.rows - done} rows are not acknowledged"
    values = {**values_of(final), "rows_per_s": final.rows_per_s, "ok": is_good}
    report.conclude(f"{title}: {outcome}", replay_pairs(final), values)
    return is_good


@app.command("list")
def list_scenarios(as_json: bool = AS_JSON) -> None:
    """List the scenarios that come with the program."""
    for name in shipped_scenarios():
        scenario = _load(name)
        if as_json:
            line = {"scenario": name, "title": scenario.title, "devices": scenario.devices}
            typer.echo(orjson.dumps(line).decode())
        else:
            typer.echo(f"{name:<14} {scenario.devices:>5} devices  {scenario.title}")


@app.command()
def describe(
    scenario: str = SCENARIO,
) -> None:
    """Say what a scenario simulates: its devices, their readings and their faults."""
    typer.echo("\n".join(describe_scenario(_load(scenario))))


@app.command("devices")
def list_devices(
    scenario: str = SCENARIO,
    devices: int | None = typer.Option(None, min=1, max=DEVICES_MAX, help="How many devices."),
) -> None:
    """List a fleet's devices as CSV, for 'penstock devices import FILE --new-keys KEYS'."""
    fleet_plan = _load(scenario)
    typer.echo("device,tag:kind")
    for member in fleet_plan.members(devices or fleet_plan.devices):
        typer.echo(f"{member.name},{member.kind.name}")


def _load(name_or_path: str) -> Scenario:
    with _usage_errors():
        return load_scenario(name_or_path)


@contextlib.contextmanager
def _usage_errors() -> Iterator[None]:
    """A scenario file that is wrong is wrong usage: every error in it on a line, and exit 2."""
    try:
        yield
    except DocumentInvalid as error:
        for line in str(error).splitlines():
            typer.echo(f"penstock: {line}", err=True)
        raise typer.Exit(2) from error


def _check(scenario: Scenario, options: RunOptions, data: Path | None, *, is_made: bool) -> None:
    """Refuse what can't work before anything is started."""
    if data is not None and not options.keeps_readings:
        raise typer.BadParameter(
            "it says where the log is for --verify; add --verify", param_hint="--data"
        )
    if data is not None and not is_made and not data.is_dir():
        raise SimulationFailed(f"no data directory at {data}")
    readings = scenario.readings_max(options.devices, options.duration_ms)
    if options.keeps_readings and readings > READINGS_MAX:
        raise SimulationFailed(
            f"this run takes {readings:,} readings, and --verify keeps account of "
            f"{READINGS_MAX:,} at most; run it shorter, slower or with fewer devices"
        )
    if options.client == "paho":
        check_paho(options.devices)
    allow_connections(options.devices)


def _check_exactly_once(scenario: Scenario, options: RunOptions, target: Target) -> None:
    """Refuse a run whose readings should carry what this protocol or this client can't carry."""
    if not any(kind.is_exactly_once for kind in scenario.kinds):
        return
    if target.version is not ProtocolVersion.V5 or options.client == "paho":
        raise typer.BadParameter(
            f"{scenario.name} is exactly once, which needs --protocol 5 and the client 'firmware'",
            param_hint="--protocol",
        )


def _seconds(text: str, name: str) -> int:
    """Read `30`, `2.5` or `5m` as milliseconds."""
    duration_ms = parse_duration_ms(text)
    with contextlib.suppress(ValueError, OverflowError):
        duration_ms = int(float(text) * 1_000) if duration_ms is None else duration_ms
    if duration_ms is None or duration_ms <= 0:
        raise typer.BadParameter(
            f"'{text}' is not a duration above zero (write 30, 30s, 5m)", param_hint=f"--{name}"
        )
    return duration_ms


def _fields(texts: list[str] | None) -> dict[str, str] | None:
    """Read `column` and `column=name`; None when every column is wanted."""
    if not texts:
        return None
    pairs = [text.partition("=") for text in texts]
    fields = {column: name or column for column, _, name in pairs}
    if len(set(fields.values())) != len(texts):
        raise typer.BadParameter("two columns for one name, or one twice", param_hint="--field")
    return fields


def _shift(text: str) -> int | str:
    """Read `now`, or a duration with or without a minus sign, as milliseconds."""
    shift_ms = parse_duration_ms(text.removeprefix("-"))
    if text == NOW:
        return NOW
    if shift_ms is None:
        raise typer.BadParameter(
            f"'{text}' is neither 'now' nor a duration (write 1h, -30m)", param_hint="--shift"
        )
    return -shift_ms if text.startswith("-") else shift_ms


def _client(text: str) -> Literal["firmware", "paho"]:
    for client in CLIENTS:
        if text == client:
            return client
    raise typer.BadParameter(f"'{text}' is neither 'firmware' nor 'paho'", param_hint="--client")


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    with contextlib.suppress(ValueError):
        factor = float(text.removeprefix("x"))
        if 0.0 < factor < float("inf"):
            return factor
    raise typer.BadParameter(f"'{text}' is neither 'max' nor xN (write x60)", param_hint="--speed")


def _version(text: str) -> ProtocolVersion:
    if text not in VERSIONS:
        raise typer.BadParameter(
            f"'{text}' is not one of {', '.join(VERSIONS)}", param_hint="--protocol"
        )
    return VERSIONS[text]
