"""`penstock streams compact`: keep the last record of each key, now."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import typer

from gateway.clock import SystemClock
from gateway.store import desk_of

DATA_DIR = Path("penstock-data")


def compact(
    stream: str = typer.Argument(help="Which stream; it must have `compact` in its configuration."),
    data: Path = typer.Option(DATA_DIR, "--data", help="Data directory of the gateway."),
    json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Remove what later records of the same key replace, without waiting until it is worth it."""
    looked_at = asyncio.run(_compact(data, stream))
    if json:
        print(orjson.dumps({"stream": stream, "batches": looked_at}).decode())
    else:
        print(f"{stream}: looked at {looked_at} batches")


async def _compact(data: Path, stream: str) -> int:
    looked_at = 0
    async with desk_of(data, SystemClock()) as access:
        while step := await access.desk.compact_step(stream):
            looked_at += step
    return looked_at
