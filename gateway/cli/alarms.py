"""`penstock alarms`: which alarms stand, and what to do about them.

`list` reads the data directory, beside a running gateway or a stopped one. The others hand in a
message of the topic that any MQTT client could use; on a stopped gateway it goes into the log, and
is obeyed at the next start.
"""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import typer

from gateway.cli.main import fail
from gateway.cli.messenger import deliver
from gateway.clock import SystemClock
from gateway.config import GatewayConfig, load_config
from gateway.documents import did_you_mean, parse_duration_ms
from gateway.errors import PenstockError, RequestUnknown, StoreInUse
from gateway.events import Origin, Run
from gateway.rules import ALARMS_STREAM, CommandTopic, command_topic
from gateway.store import RemoteDesk, StoreOptions, StreamSpec, open_reader, open_store

ALARMS_TABLE = "alarms"
DATA_DIR = Path("penstock-data")
DEFAULT_CONFIG = Path("config/gateway.yaml")
CLIENT = "penstock-alarms"
QOS_1 = bytes([1 << 1])
BAD_USAGE = 2

RULE = typer.Argument(help="Id of the rule.")
KEY = typer.Argument("", help="Key of the alarm, such as the device; none for `key: []`.")
DATA = typer.Option(None, "--data", help="Data directory of the gateway.")
CONFIG = typer.Option(None, help="Configuration file, for the data directory and the port.")
HOST = typer.Option(None, help="Where the running gateway listens.")
PORT = typer.Option(None, min=1, max=0xFFFF, help="Its port.")
COMMENT = typer.Option("", help="What to say with it; it stands in the log.")

app = typer.Typer(help="See alarms, acknowledge and shelve them.", no_args_is_help=True)


class NoSuchAlarm(PenstockError):
    """There is no such alarm to be acknowledged."""


class Gateway(NamedTuple):
    """Where a gateway keeps its data, and where it listens when it runs."""

    data: Path
    host: str
    port: int


@app.command("list")
def list_alarms(
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = typer.Option(False, "--json", help="Print one JSON object a line."),
) -> None:
    """List the alarms that are up, wait to be acknowledged, or are shelved."""
    for alarm in asyncio.run(read_alarms(_gateway(config, data, None, None).data)):
        print(orjson.dumps(alarm).decode() if json else line_of(alarm))


@app.command()
def ack(
    rule: str = RULE,
    key: str = KEY,
    comment: str = COMMENT,
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    host: str | None = HOST,
    port: int | None = PORT,
) -> None:
    """Acknowledge an alarm: somebody knows of it."""
    gateway = _gateway(config, data, host, port)
    alarm = _find(asyncio.run(read_alarms(gateway.data)), rule, key)
    # What is acknowledged is the alarm that was up when the command was given, none after it.
    fields = {"by": _who(), "comment": comment, "n": alarm["n"]}
    _hand_in(gateway, CommandTopic(rule, key, "ack"), fields)


@app.command()
def shelve(
    rule: str = RULE,
    key: str = KEY,
    span: str = typer.Option("1h", "--for", help="How long, such as 30m or 7d."),
    comment: str = COMMENT,
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    host: str | None = HOST,
    port: int | None = PORT,
) -> None:
    """Publish nothing of an alarm for a while; the log keeps all of it."""
    if not parse_duration_ms(span):
        fail(f"'{span}' is not a duration (write 30m, 2h, 7d)", BAD_USAGE)
    fields = {"by": _who(), "comment": comment, "for": span}
    _hand_in(_gateway(config, data, host, port), CommandTopic(rule, key, "shelve"), fields)


@app.command()
def unshelve(
    rule: str = RULE,
    key: str = KEY,
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    host: str | None = HOST,
    port: int | None = PORT,
) -> None:
    """End a shelf before its time."""
    fields = {"by": _who()}
    _hand_in(_gateway(config, data, host, port), CommandTopic(rule, key, "unshelve"), fields)


async def read_alarms(data_dir: Path) -> list[dict[str, Any]]:
    """The alarms that stand, by rule and key.

    Raises:
        StoreUnavailable: there is no log in `data_dir`, or it can't be read.
    """
    reader = await open_reader(data_dir)
    try:
        found = [orjson.loads(value) for _, value in await reader.entries(ALARMS_TABLE)]
    finally:
        await reader.close()
    return sorted(found, key=lambda alarm: (alarm["rule"], alarm["key"]))


def line_of(alarm: dict[str, Any]) -> str:
    """An alarm in one line, for people."""
    shelved = f" until {alarm['shelved_until']}" if alarm["shelved_until"] else ""
    return (
        f"{alarm['rule']}  {alarm['key'] or '-'}  {alarm['state']}{shelved}  {alarm['severity']}  "
        f"since {alarm['since']}  {alarm['message']}"
    )


def _find(alarms: Sequence[dict[str, Any]], rule: str, key: str) -> dict[str, Any]:
    for alarm in alarms:
        if (alarm["rule"], alarm["key"]) == (rule, key):
            return alarm
    names = [f"{alarm['rule']} {alarm['key']}".strip() for alarm in alarms]
    hint = did_you_mean(f"{rule} {key}".strip(), names)
    raise NoSuchAlarm(
        f"no alarm '{f'{rule} {key}'.strip()}' is up{hint}; see 'penstock alarms list'"
    )


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return CLIENT


def _gateway(config: Path | None, data: Path | None, host: str | None, port: int | None) -> Gateway:
    settings = load_config(config or (DEFAULT_CONFIG if DEFAULT_CONFIG.is_file() else None))
    own_host, own_port = _plain_listener(settings)
    return Gateway(data or settings.data_dir, host or own_host, port or own_port)


def _plain_listener(settings: GatewayConfig) -> tuple[str, int]:
    """Where the gateway takes MQTT without TLS from its own machine."""
    for listener in settings.server.listeners:
        if listener.kind == "mqtt" and listener.tls is None:
            host = "127.0.0.1" if listener.host in ("", "0.0.0.0") else listener.host  # noqa: S104 - it is read, not bound
            return "::1" if host == "::" else host, listener.port
    return "127.0.0.1", 1883


def _hand_in(gateway: Gateway, asked: CommandTopic, fields: dict[str, Any]) -> None:
    payload = orjson.dumps({name: value for name, value in fields.items() if value != ""})
    print(asyncio.run(_deliver(gateway, asked, payload)))


async def _publish(gateway: Gateway, topic: str, payload: bytes) -> None:
    """Hand a message to the running gateway: by the socket in its data directory, else by MQTT.

    The socket is this user's, so no credentials are asked for.
    """
    desk = await RemoteDesk.connect(gateway.data)
    if desk is None:
        await deliver(gateway.host, gateway.port, topic, payload, CLIENT)
        return
    try:
        await desk.ask("publish", topic, payload, CLIENT)
    except RequestUnknown:
        await deliver(gateway.host, gateway.port, topic, payload, CLIENT)
    finally:
        await desk.close()


async def _deliver(gateway: Gateway, asked: CommandTopic, payload: bytes) -> str:
    await (await open_reader(gateway.data)).close()  # else a log would be made where there is none
    topic = command_topic(asked)
    try:
        store = await open_store(StoreOptions(gateway.data), SystemClock())
    except StoreInUse:
        await _publish(gateway, topic, payload)
        return f"{asked.verb} of {asked.rule} {asked.key}".strip() + " is in the log"
    try:
        await store.ensure(StreamSpec(ALARMS_STREAM, partitions=1))
        origin, now_ms = Origin(topic, asked.rule), SystemClock().now_ms()
        await store.append([Run(ALARMS_STREAM, 0, CLIENT, now_ms, [origin], [payload], QOS_1)])
    finally:
        await store.close()
    return f"{asked.verb} of {asked.rule} {asked.key}".strip() + " waits for the gateway's start"
