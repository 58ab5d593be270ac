"""`penstock streams verify`: whether a data directory is sound."""

from __future__ import annotations

from pathlib import Path

import orjson
import typer

from gateway.cli.backup import DATA_DIR
from gateway.store import verify_log


def verify(
    data: Path = typer.Option(DATA_DIR, "--data", help="Data directory of the gateway."),
    json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Read everything, beside a running gateway too, and say whether it is sound; exit 1 if not."""
    found = verify_log(data)
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
