"""`penstock streams verify`: whether a data directory is sound."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import typer

from gateway.cli.backup import DATA_DIR
from gateway.cli.table_checks import find_in_tables
from gateway.errors import StoreError
from gateway.store import open_reader, verify_log


async def check_tables(data: Path) -> list[str]:
    """What can't be read of the tables; nothing where the log itself can't be opened."""
    try:
        reader = await open_reader(data)
    except StoreError:
        # What keeps it from being opened is among the faults, or is an earlier format.
        return []
    try:
        return await find_in_tables(reader)
    except StoreError as error:
        return [f"tables: {error}"]
    finally:
        await reader.close()


def verify(
    data: Path = typer.Option(DATA_DIR, "--data", help="Data directory of the gateway."),
    json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Read everything, beside a running gateway too, and say whether it is sound; exit 1 if not."""
    found = verify_log(data)
    found["faults"] += asyncio.run(check_tables(data))
    found["sound"] = not found["faults"]
    if json:
        typer.echo(orjson.dumps(found).decode())
    else:
        for stream, own in found["streams"].items():
            offsets = ", ".join(map(str, own["next_offsets"]))
            typer.echo(
                f"{stream}: {own['records']} records, next offsets {offsets}, hash {own['hash']}"
            )
        if found["blobs"]:
            typer.echo(f"{found['blobs']} payloads beside the log, in blobs")
        for report in found["damage_reports"]:
            typer.echo(f"damaged earlier: {report['time']}, {report['finding']}; see gaps")
        for fault in found["faults"]:
            typer.echo(f"fault: {fault}")
        typer.echo("sound" if found["sound"] else f"not sound: {len(found['faults'])} faults")
    if not found["sound"]:
        raise typer.Exit(1)
