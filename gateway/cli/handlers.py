"""`penstock handlers`: the functions that work on events, how they stand and what they do."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import orjson
import typer

from gateway.cli.main import fail
from gateway.cli.record_lines import printable
from gateway.clock import SystemClock
from gateway.config import GatewayConfig, load_config
from gateway.devices import DeviceTopics
from gateway.documents import did_you_mean
from gateway.errors import DocumentInvalid, PenstockError, RequestUnknown, StoreError
from gateway.events import Record
from gateway.functions import FunctionSpec
from gateway.store import RemoteDesk, open_reader

DEFAULT_CONFIG = Path("config/gateway.yaml")
BAD_USAGE = 2
LIST_LINE = "{name:<20} {state:<10} {version:<14} {in_flight:>9} {done:>9} {failed:>7} {dead:>6}"
EVENT_FIELDS = ("topic", "payload", "payload_base64", "device")
EVENT_SHOWN = 'write {"topic": "plant/pump-7/level", "payload": {"cm": 250}}, or @1234'

CONFIG = typer.Option(
    DEFAULT_CONFIG, "--config", help="Configuration file that names the handlers."
)
DATA = typer.Option(None, "--data", help="Data directory [default: that of the configuration].")
JSON = typer.Option(False, "--json", help="Print one JSON object a line.")

app = typer.Typer(help="Functions of your own that work on events.", no_args_is_help=True)


class HandlerUnknown(PenstockError):
    """There is no handler of that name."""


class TrialFailed(PenstockError):
    """A function can't be loaded, or failed for an event; the text is the traceback."""


@app.command("list")
def list_handlers(config: Path = CONFIG, data: Path | None = DATA, as_json: bool = JSON) -> None:
    """List the handlers of a configuration, and how each stands if a gateway runs."""
    settings = _load(config)
    reports = asyncio.run(_reports(data or settings.data_dir))
    if not as_json:
        titles = {"name": "NAME", "state": "STATE", "version": "VERSION", "done": "DONE"}
        counts = {"in_flight": "IN FLIGHT", "failed": "FAILED", "dead": "DEAD"}
        print(LIST_LINE.format(**titles, **counts))
    for spec in settings.handlers:
        report = reports.get(spec.name, {"state": "stopped"})
        print(_json_row(spec, report) if as_json else _text_row(spec, report))


@app.command()
def test(
    name: str = typer.Argument(..., help="Name of the handler."),
    event: str = typer.Argument(
        ..., help='JSON such as {"topic": …, "payload": …}, or @OFFSET of its stream.'
    ),
    config: Path = CONFIG,
    data: Path | None = DATA,
    partition: int = typer.Option(0, min=0, help="Partition that @OFFSET is in."),
    as_json: bool = JSON,
) -> None:
    """Run a handler's function on one event, within its limits, and show what it would publish.

    Nothing is published or committed; what the function itself does is done.
    """
    settings = _load(config)
    spec = _find(settings, name)
    if event.startswith("@"):
        record = asyncio.run(_stored(spec, partition, event[1:], data or settings.data_dir))
    else:
        record = _written(spec, event, DeviceTopics(settings.device_topics))
    from gateway.pipeline import try_function

    trial = asyncio.run(try_function(spec, record))
    if trial.error:
        raise TrialFailed(trial.error)
    if not trial.is_wanted:
        typer.echo(f"penstock: '{name}' would not be given this event: filter, where", err=True)
    for row in trial.rows:
        print(_row_json(row) if as_json else _row_text(row))


@app.command()
def check(config: Path = CONFIG) -> None:
    """Load every handler's function as the gateway would; exits 1 when one can't be loaded."""
    from gateway.pipeline import try_function

    broken = []
    for spec in _load(config).handlers:
        trial = asyncio.run(try_function(spec))
        if trial.error:
            broken.append(f"handler '{spec.name}' can't load {spec.call}: {trial.error}")
        else:
            print(f"{spec.name}: {spec.call} {trial.version}")
    if broken:
        raise TrialFailed("\n".join(broken))


def _load(config: Path) -> GatewayConfig:
    try:
        return load_config(config)
    except DocumentInvalid as error:
        fail(str(error), BAD_USAGE)


def _find(settings: GatewayConfig, name: str) -> FunctionSpec:
    specs = {spec.name: spec for spec in settings.handlers}
    if name not in specs:
        hint = did_you_mean(name, specs) or f"; there are: {', '.join(specs) or 'none'}"
        raise HandlerUnknown(f"no handler '{name}'{hint}")
    return specs[name]


async def _reports(data_dir: Path) -> dict[str, dict[str, Any]]:
    """How the handlers of a running gateway stand, by name; empty where none runs."""
    desk = await RemoteDesk.connect(data_dir)
    if desk is None:
        return {}
    try:
        return {report["name"]: report for report in await desk.ask("handlers")}
    except RequestUnknown:
        return {}
    finally:
        await desk.close()


async def _stored(spec: FunctionSpec, partition: int, text: str, data_dir: Path) -> Record:
    """The record at an offset of the handler's stream."""
    if not text.isdecimal():
        fail(f"'@{text}' is no offset; write @1234", BAD_USAGE)
    reader = await open_reader(data_dir)
    try:
        chunk = await reader.fetch(spec.stream, partition, int(text), records_max=1)
    finally:
        await reader.close()
    records = [record for batch in chunk.batches for record in batch.records()]
    if not records or records[0].offset != int(text):
        raise StoreError(f"{spec.stream}/{partition} has no record @{text} any more, or not yet")
    return records[0]


def _written(spec: FunctionSpec, text: str, topics: DeviceTopics) -> Record:
    """The record that a JSON text describes."""
    try:
        content = orjson.loads(text)
        topic = content["topic"]
        device = content.get("device", "") or topics.device_of(topic)
        payload = (
            base64.b64decode(content["payload_base64"])
            if "payload_base64" in content
            else orjson.dumps(content["payload"])
        )
        unknown = sorted(set(content) - set(EVENT_FIELDS))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        fail(f"that is no event ({error}); {EVENT_SHOWN}", BAD_USAGE)
    if unknown:
        fail(f"an event has no '{unknown[0]}' here; {EVENT_SHOWN}", BAD_USAGE)
    return Record(spec.stream, 0, 0, SystemClock().now_ms(), topic, device, "", payload)


def _json_row(spec: FunctionSpec, report: dict[str, Any]) -> str:
    own = {"name": spec.name, "call": spec.call, "filter": spec.topic_filter, "stream": spec.stream}
    return orjson.dumps(own | report).decode()


def _text_row(spec: FunctionSpec, report: dict[str, Any]) -> str:
    row = LIST_LINE.format(
        name=spec.name,
        state=report["state"],
        version=report.get("version") or "-",
        in_flight=report.get("in_flight", "-"),
        done=report.get("done", "-"),
        failed=report.get("failed", "-"),
        dead=report.get("dead_lettered", "-"),
    )
    error = report.get("error", "")
    return f"{row}\n  {printable(error.splitlines()[-1])}" if error else row


def _row_json(row: tuple[str, bytes, bool, int]) -> str:
    topic, payload, is_retained, qos = row
    shown: dict[str, Any] = {"topic": topic, "retain": is_retained, "qos": qos}
    try:
        shown["payload"] = orjson.loads(payload)
    except orjson.JSONDecodeError:
        shown["payload_base64"] = base64.b64encode(payload).decode()
    return orjson.dumps(shown).decode()


def _row_text(row: tuple[str, bytes, bool, int]) -> str:
    topic, payload, is_retained, _ = row
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        text = f"base64:{base64.b64encode(payload).decode()}"
    return f"{printable(topic)}  {printable(text)}{'  (retained)' if is_retained else ''}"
