"""`penstock devices twin`: what is wanted of a device and what it says of itself, now or before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import typer

from gateway.cli.devices.asking import ask_gateway, who
from gateway.cli.devices.registry_access import CONFIG, DATA, log_dir_of
from gateway.cli.devices.twin_history import PastTwin, changes_of, past_twin
from gateway.cli.main import fail
from gateway.cli.record_lines import iso_time
from gateway.clock import SystemClock
from gateway.devices import (
    DEVICES_TABLE,
    TWINS_STREAM,
    TWINS_TABLE,
    Document,
    Twin,
    check_device_id,
    decode_device,
    decode_twin,
    read_object,
)
from gateway.store import StreamReader, offsets_at, open_reader, parse_place

BAD_USAGE = 2
ID = typer.Argument(help="Id of the device.")


def twin(
    device: str = ID,
    patch: str = typer.Option(
        "", "--set", help="Change what is wanted: a JSON object; null removes a name."
    ),
    file: Path | None = typer.Option(None, help="As --set, from a file."),
    if_version: int | None = typer.Option(
        None, "--if-version", min=0, help="Only if what is wanted has this version."
    ),
    at: str = typer.Option(
        "",
        help=f"How it was just after this record of the stream '{TWINS_STREAM}': @1234, or a "
        "time: -1h, 2026-01-31T12:00.",
    ),
    history: bool = typer.Option(False, "--history", help="Its changes, oldest first."),
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = typer.Option(False, "--json", help="Print JSON: an object, or one a line."),
) -> None:
    """Show a device's twin and its tags, or change what is wanted of it."""
    check_device_id(device)
    if sum([bool(patch), file is not None, bool(at), history]) > 1:
        fail("use one of --set, --file, --at and --history", BAD_USAGE)
    data_dir = log_dir_of(data, config)
    if patch or file is not None:
        wanted = _patch(patch, file)
        found = asyncio.run(ask_gateway(data_dir, "twin.set", device, wanted, if_version, who()))
        _print(device, found, as_json=json)
    elif history:
        for line in asyncio.run(_history(data_dir, device)):
            print(orjson.dumps(line).decode() if json else line_of(line))
    else:
        _print(device, asyncio.run(_read(data_dir, device, at)), as_json=json)


def _patch(text: str, file: Path | None) -> bytes:
    """The patch as JSON; a bad one ends the command."""
    content = text.encode() if file is None else file.read_bytes()
    read_object(content)
    return content


async def _read(data_dir: Path, device: str, at: str) -> dict[str, Any]:
    reader = await open_reader(data_dir)
    try:
        return await (_read_past(reader, device, at) if at else _read_now(reader, device))
    finally:
        await reader.close()


async def _read_now(reader: StreamReader, device: str) -> dict[str, Any]:
    found = decode_twin(await reader.entry(TWINS_TABLE, device))
    entry = await reader.entry(DEVICES_TABLE, device)
    return {"tags": {} if entry is None else decode_device(entry).tags, **shown(found)}


async def _read_past(reader: StreamReader, device: str, at: str) -> dict[str, Any]:
    place = parse_place(at, SystemClock().now_ms())
    if place is None or place.kind in ("earliest", "latest"):
        fail(f"--at {at!r}: write @1234, -1h or 2026-01-31T12:00", BAD_USAGE)
    slot = (TWINS_STREAM, 0)
    stop_offset = (await offsets_at(reader, [slot], place))[slot]
    if place.kind == "offset":
        stop_offset = place.value + 1
    past = await past_twin(reader, device, stop_offset)
    return {"tags": past.value("tags"), **shown_past(past)}


async def _history(data_dir: Path, device: str) -> list[dict[str, Any]]:
    reader = await open_reader(data_dir)
    try:
        return [
            {"offset": offset, **event._asdict(), "time": iso_time(event.time_ms)}
            async for offset, event in changes_of(reader, device)
        ]
    finally:
        await reader.close()


def shown(found: Twin) -> dict[str, Any]:
    """A twin as it is, for programs."""
    return {
        "desired": found.desired,
        "desired_version": found.desired_version,
        "reported": found.reported,
        "reported_version": found.reported_version,
        "etag": found.etag,
        "is_told": found.told is None,
    }


def shown_past(past: PastTwin) -> dict[str, Any]:
    """A twin as it was, for programs."""
    versions = past.version("desired"), past.version("reported")
    return {
        "desired": past.value("desired"),
        "desired_version": versions[0],
        "reported": past.value("reported"),
        "reported_version": versions[1],
        "etag": f"{versions[0]}.{versions[1]}",
    }


def _print(device: str, found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(orjson.dumps({"device": device, **found}).decode())
        return
    for text in lines_of(found):
        print(text)


def lines_of(found: dict[str, Any]) -> Iterator[str]:
    """A twin for people."""
    for side in ("desired", "reported"):
        yield f"{side}, version {found[f'{side}_version']}:"
        yield from (f"  {name} = {text}" for name, text in _leaves(found[side]))
    tags = found.get("tags") or {}
    yield from (f"tag {name} = {text}" for name, text in sorted(tags.items()))
    if not found.get("is_told", True):
        yield "the device has not been told yet: nobody listens for it"


def _leaves(document: Document, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in sorted(document.items()):
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, orjson.dumps(value).decode()


def line_of(change: dict[str, Any]) -> str:
    """One change for people."""
    patch = orjson.dumps(change["patch"]).decode()
    version = f" {change['version']}" if change["version"] else ""
    return (
        f"@{change['offset']}  {change['time']}  {change['part']}{version}  {patch}  {change['by']}"
    )
