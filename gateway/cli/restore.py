"""`penstock restore`: a safety copy becomes the log of a new data directory."""

from __future__ import annotations

from pathlib import Path

import typer

from gateway.cli.backup import DATA_DIR, print_manifest
from gateway.store import restore_log

app = typer.Typer(help="Put a backup into a new data directory.")


@app.command()
def restore(
    source: Path = typer.Argument(help="Directory that 'penstock backup' wrote."),
    data: Path = typer.Option(DATA_DIR, "--data", help="Data directory to fill; must be unused."),
    json: bool = typer.Option(False, "--json", help="Print the copy's manifest as JSON."),
) -> None:
    """Check a backup and put it into an unused data directory; offsets go on where they were."""
    manifest = restore_log(source, data)
    print_manifest(manifest, f"{source} is restored to {data}", as_json=json)
