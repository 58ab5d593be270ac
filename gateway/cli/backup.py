"""`penstock backup`: a safety copy of the log, taken while the gateway runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import typer

from gateway.clock import SystemClock
from gateway.store import back_up_log

DATA_DIR = Path("penstock-data")

app = typer.Typer(help="Copy the log while the gateway runs.")


@app.command()
def backup(
    destination: Path = typer.Argument(help="New directory for the copy."),
    data: Path = typer.Option(DATA_DIR, "--data", help="Data directory of the gateway."),
    json: bool = typer.Option(False, "--json", help="Print the copy's manifest as JSON."),
) -> None:
    """Copy the log to a new directory, beside a running gateway too, and check the copy.

    Configuration and rules are files of yours: copy them too.
    """
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("copying")
        manifest = back_up_log(
            data,
            destination,
            SystemClock(),
            lambda done, size: shown.update(task, completed=done, total=size),
        )
    print_manifest(manifest, f"{data} is copied to {destination}", as_json=json)


def print_manifest(manifest: dict[str, Any], done: str, *, as_json: bool) -> None:
    """Say what a copy holds; one with faults fails."""
    if as_json:
        typer.echo(orjson.dumps(manifest).decode())
    else:
        typer.echo(done)
        for stream, own in manifest["streams"].items():
            offsets = ", ".join(map(str, own["next_offsets"]))
            typer.echo(f"{stream}: next offsets {offsets}; hash {own['hash'][:16]}")
        for fault in manifest["faults"]:
            typer.echo(f"fault: {fault}")
    if manifest["faults"]:
        raise typer.Exit(1)
