"""`penstock bench`: measure an MQTT server, this one or another, from where you are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import typer

from firmware_sim.load.child import prepare
from firmware_sim.load.options import (
    ConnectLoad,
    ConnectMeasured,
    FanoutLoad,
    FanoutMeasured,
    IngestLoad,
    IngestMeasured,
    Load,
    StormLoad,
    StormMeasured,
)
from firmware_sim.report import Pairs, Report, choose_report
from firmware_sim.runtime import allow_connections

PAYLOAD_BYTES_MIN, PAYLOAD_BYTES_MAX = 120, 1 << 20
CLIENTS_MAX = 50_000
WINDOW_MAX = 30_000

app = typer.Typer(
    help="Measure an MQTT server: this one, or the one that you have.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

HOST = typer.Option("127.0.0.1", help="Address of the MQTT server.")
PORT = typer.Option(1883, min=1, max=65_535, help="Its port.")
USERNAME = typer.Option(None, help="User name.")
PASSWORD = typer.Option(None, envvar="PENSTOCK_PASSWORD", show_envvar=True, help="Password.")
SECONDS = typer.Option(5.0, min=0.1, max=3_600.0, help="Measured time, after a second of warm-up.")
PAYLOAD = typer.Option(
    120, min=PAYLOAD_BYTES_MIN, max=PAYLOAD_BYTES_MAX, help="Bytes of JSON a message."
)
WINDOW = typer.Option(
    100, min=1, max=WINDOW_MAX, help="Most unacknowledged messages of a publisher."
)
SEED = typer.Option(1, help="The same seed publishes the same messages.")
AS_JSON = typer.Option(False, "--json", help="Print one JSON object a line.")


@app.command()
def ingest(
    host: str = HOST,
    port: int = PORT,
    username: str | None = USERNAME,
    password: str | None = PASSWORD,
    connections: int = typer.Option(100, min=1, max=CLIENTS_MAX, help="Publishing clients."),
    window: int = WINDOW,
    payload: int = PAYLOAD,
    seconds: float = SECONDS,
    properties: bool = typer.Option(
        False, "--properties", help="MQTT 5, with properties in each message."
    ),
    seed: int = SEED,
    as_json: bool = AS_JSON,
) -> None:
    """Publish with QoS 1 as fast as the server acknowledges."""
    allow_connections(connections)
    load = IngestLoad(
        host,
        port,
        username,
        password,
        seed,
        connections=connections,
        window=window,
        payload_bytes=payload,
        with_properties=properties,
        measured_s=seconds,
    )
    _run("ingest", load, f"ingest at {host}:{port}", _conclude_ingest, as_json=as_json)


@app.command()
def fanout(
    host: str = HOST,
    port: int = PORT,
    username: str | None = USERNAME,
    password: str | None = PASSWORD,
    publishers: int = typer.Option(1, min=1, max=CLIENTS_MAX, help="Publishing clients."),
    subscribers: int = typer.Option(1000, min=1, max=CLIENTS_MAX, help="Subscribers of them all."),
    qos: int = typer.Option(0, min=0, max=1, help="Quality of service of the subscribers."),
    window: int = WINDOW,
    payload: int = PAYLOAD,
    seconds: float = SECONDS,
    seed: int = SEED,
    as_json: bool = AS_JSON,
) -> None:
    """Publish to many subscribers, and count what they get."""
    allow_connections(publishers + subscribers)
    load = FanoutLoad(
        host,
        port,
        username,
        password,
        seed,
        publishers=publishers,
        subscribers=subscribers,
        qos=qos,
        window=window,
        payload_bytes=payload,
        measured_s=seconds,
    )
    _run("fanout", load, f"fan-out at {host}:{port}", _conclude_fanout(qos), as_json=as_json)


@app.command()
def connect(
    host: str = HOST,
    port: int = PORT,
    username: str | None = USERNAME,
    password: str | None = PASSWORD,
    at_once: int = typer.Option(50, min=1, max=5_000, help="Clients on their way at a time."),
    seconds: float = SECONDS,
    as_json: bool = AS_JSON,
) -> None:
    """Connect, be accepted and leave, again and again."""
    allow_connections(at_once)
    load = ConnectLoad(host, port, username, password, at_once=at_once, measured_s=seconds)
    _run("connect", load, f"connects at {host}:{port}", _conclude_connect, as_json=as_json)


@app.command()
def storm(
    host: str = HOST,
    port: int = PORT,
    username: str | None = USERNAME,
    password: str | None = PASSWORD,
    clients: int = typer.Option(5_000, min=1, max=CLIENTS_MAX, help="Clients that come back."),
    steady: int = typer.Option(50, min=1, max=1_000, help="Clients that publish meanwhile."),
    rate: float = typer.Option(10.0, min=0.1, max=100.0, help="Messages a second of each."),
    give_up: float = typer.Option(120.0, min=1.0, help="Seconds until not being back is failure."),
    seed: int = SEED,
    as_json: bool = AS_JSON,
) -> None:
    """Cut thousands of clients off, let them all come back at once, and watch the others."""
    allow_connections(clients)
    load = StormLoad(
        host,
        port,
        username,
        password,
        seed,
        clients=clients,
        steady=steady,
        rate_hz=rate,
        give_up_s=give_up,
    )
    _run("storm", load, f"storm at {host}:{port}", _conclude_storm, as_json=as_json)


class Reporter:
    """Shows a load's progress in the report of the command."""

    def __init__(self, title: str, report: Report) -> None:
        self._title = title
        self._report = report

    def measuring(self) -> None:
        """Nothing is measured but the load."""

    def show(self, values: Mapping[str, float]) -> None:
        pairs = [(name.replace("_per_s", "/s"), f"{value:,.0f}") for name, value in values.items()]
        self._report.show(self._title, pairs, values)

    def measured(self) -> None:
        """Nothing is measured but the load."""


# What a load measured becomes: pairs for people, values for programs, and whether all is well.
Conclude = Callable[[Any], tuple[Pairs, dict[str, Any], bool]]


def _run(kind: str, load: Load, title: str, conclude: Conclude, *, as_json: bool) -> None:
    """Drive a load, and show what it measured; exits 1 when the server failed it."""
    with choose_report(as_json=as_json) as report:
        run = prepare(kind, load)
        try:
            measured = run.measure(Reporter(title, report))
        finally:
            run.close()
        pairs, values, is_good = conclude(measured)
        report.conclude(title, pairs, {**values, "ok": is_good})
    if not is_good:
        raise typer.Exit(1)


def _conclude_ingest(measured: IngestMeasured) -> tuple[Pairs, dict[str, Any], bool]:
    latency_ms = {
        f"ack_ms_{name}": round(measured.latency_us(part) / 1000, 3)
        for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    }
    values = {
        "messages": measured.messages,
        "messages_per_s": round(measured.messages_per_s, 1),
        **latency_ms,
        "unacknowledged": measured.unacknowledged,
        "generator_cpu_share": round(measured.generator_cpu_s / measured.seconds, 3),
    }
    pairs = [
        ("acknowledged", f"{measured.messages:,} in {measured.seconds:.1f} s"),
        ("messages/s", f"{measured.messages_per_s:,.0f}"),
        ("ack p50/p99/max", "/".join(f"{one:.2f}" for one in latency_ms.values()) + " ms"),
        ("never acknowledged", f"{measured.unacknowledged:,}"),
        ("generator's CPU", f"{values['generator_cpu_share']:.0%} of a core"),
    ]
    return pairs, values, measured.unacknowledged == 0


def _conclude_fanout(qos: int) -> Conclude:
    def conclude(measured: FanoutMeasured) -> tuple[Pairs, dict[str, Any], bool]:
        rate = round(measured.deliveries_per_s, 1)
        values = {**asdict(measured), "deliveries_per_s": rate}
        pairs = [
            ("published", f"{measured.published:,} in {measured.seconds:.1f} s"),
            ("delivered", f"{measured.delivered:,}"),
            ("deliveries/s", f"{rate:,.0f}"),
            ("not delivered", f"{measured.lost:,}"),
        ]
        # With QoS 0 a server may drop what a subscriber can't take.
        return pairs, values, qos == 0 or measured.lost == 0

    return conclude


def _conclude_connect(measured: ConnectMeasured) -> tuple[Pairs, dict[str, Any], bool]:
    rate = round(measured.connects_per_s, 1)
    latencies_us = (measured.latency_us_p50, measured.latency_us_p99, measured.latency_us_max)
    pairs = [
        ("accepted", f"{measured.connects:,} in {measured.seconds:.1f} s"),
        ("connects/s", f"{rate:,.0f}"),
        ("p50/p99/max", "/".join(f"{one / 1000:.1f}" for one in latencies_us) + " ms"),
        ("cut off and tried again", f"{measured.failures:,}"),
    ]
    return pairs, {**asdict(measured), "connects_per_s": rate}, measured.connects > 0


def _conclude_storm(measured: StormMeasured) -> tuple[Pairs, dict[str, Any], bool]:
    latencies_us = (measured.ack_us_p50, measured.ack_us_p99, measured.ack_us_max)
    pairs = [
        ("clients back", f"{measured.clients:,}"),
        ("all back after", f"{measured.all_back_s:.2f} s"),
        ("half back after", f"{measured.half_back_s:.2f} s"),
        ("cut off and tried again", f"{measured.retries:,}"),
        ("others' ack p50/p99/max", "/".join(f"{one / 1000:.1f}" for one in latencies_us) + " ms"),
        ("others' ack p99 before", f"{measured.quiet_ack_us_p99 / 1000:.1f} ms"),
    ]
    return pairs, asdict(measured), True
