"""`penstock devices command`: have a device do something, and hear what came of it."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Any

import orjson
import typer

from gateway.cli.devices.asking import ask_gateway, who
from gateway.cli.devices.registry_access import CONFIG, DATA, log_dir_of
from gateway.cli.main import fail
from gateway.cli.record_lines import iso_time
from gateway.devices import (
    COMMANDS_TABLE,
    QUEUES_TABLE,
    RECENT_TABLE,
    Command,
    check_device_id,
    decode_command,
    decode_queue,
    decode_recent,
    key_of_command,
    read_wanted,
    shown_command,
)
from gateway.documents import parse_duration_ms
from gateway.store import StreamReader, open_reader

BAD_USAGE = 2
FAILED = 1
ID_BYTES = 8
ID = typer.Argument(help="Id of the device.")


def command(
    device: str = ID,
    name: str = typer.Argument("", help="What it is to do; without it, its commands are listed."),
    payload: str = typer.Option("null", help="What goes with it, as JSON."),
    timeout: str = typer.Option("30s", help="How long the device may take for its answer."),
    ttl: str = typer.Option(
        "1h", help="How long it may wait until the device listens; 0s means now or never."
    ),
    deliveries: int = typer.Option(
        1, min=1, help="How often it may be sent, to a device that remembers what it has done."
    ),
    command_id: str = typer.Option("", "--id", help="Its identifier; the same is done once."),
    wait: bool = typer.Option(
        True, "--wait/--no-wait", help="Wait for the end; exit code 1 if it is no success."
    ),
    cancel: str = typer.Option("", help="Call this command back instead, by its identifier."),
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = typer.Option(False, "--json", help="Print one JSON object a line."),
) -> None:
    """Give a device a command, and print what became of it."""
    check_device_id(device)
    data_dir = log_dir_of(data, config)
    if cancel:
        found = asyncio.run(ask_gateway(data_dir, "command.cancel", device, cancel))
        _print(found, as_json=json)
    elif not name:
        for one in asyncio.run(_list(data_dir, device)):
            _print(shown_command(one), as_json=json)
    else:
        wanted = wanted_of(name, payload, timeout, ttl, deliveries)
        request = "command.await" if wait else "command.send"
        own_id = command_id or secrets.token_hex(ID_BYTES)
        found = asyncio.run(ask_gateway(data_dir, request, device, own_id, wanted, who()))
        _print(found, as_json=json)
        if wait and found["state"] != "answered":
            raise typer.Exit(FAILED)


def wanted_of(name: str, payload: str, timeout: str, ttl: str, deliveries: int) -> bytes:
    """What the gateway is asked for; bad options end the command."""
    try:
        content = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        fail(f"--payload is not JSON: {error}", BAD_USAGE)
    wanted = orjson.dumps(
        {
            "name": name,
            "payload": content,
            "timeout_ms": _span_ms("--timeout", timeout),
            "ttl_ms": _span_ms("--ttl", ttl),
            "deliveries": deliveries,
        }
    )
    read_wanted(wanted)
    return wanted


def _span_ms(option: str, text: str) -> int:
    span_ms = parse_duration_ms(text)
    if span_ms is None:
        fail(f"{option} '{text}' is not a duration (write 500ms, 30s, 2h)", BAD_USAGE)
    return span_ms


async def _list(data_dir: Path, device: str) -> list[Command]:
    reader = await open_reader(data_dir)
    try:
        return await commands_of(reader, device)
    finally:
        await reader.close()


async def commands_of(reader: StreamReader, device: str) -> list[Command]:
    """The commands of a device that are remembered: those that ended, then those that wait."""
    ids = (
        *decode_recent(await reader.entry(RECENT_TABLE, device)),
        *decode_queue(await reader.entry(QUEUES_TABLE, device)).ids,
    )
    found = [
        decode_command(await reader.entry(COMMANDS_TABLE, key_of_command(device, one)))
        for one in ids
    ]
    return [one for one in found if one is not None]


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    print(orjson.dumps(found).decode() if as_json else line_of(found))


def line_of(found: dict[str, Any]) -> str:
    """A command in one line, for people."""
    moment = found.get("ended") or found.get("sent") or found["created"]
    line = f"{found['id']}  {found['name']}  {found['state']}  {iso_time(moment)}"
    if "status" in found:
        line += f"  {found['status']}  {orjson.dumps(found['result']).decode()}"
    return line
