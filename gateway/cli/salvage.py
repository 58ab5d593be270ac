"""`penstock streams salvage`: bring back records that a damaged log's successor had no room for."""

from __future__ import annotations

from pathlib import Path

import orjson
import typer

from gateway.store import bring_back_records

DATA_DIR = Path("penstock-data")


def salvage(
    data: Path = typer.Option(DATA_DIR, "--data", help="Data directory of the stopped gateway."),
    json: bool = typer.Option(False, "--json", help="Print one JSON object a line."),
) -> None:
    """Put back what was left in a damaged database because the disk was full when it was found."""
    found = bring_back_records(data)
    for file, batches, records in found:
        if json:
            print(orjson.dumps({"file": file, "batches": batches, "records": records}).decode())
        else:
            print(f"{records} records in {batches} batches are back from {file}")
    if not found and not json:
        print("nothing was left behind")
