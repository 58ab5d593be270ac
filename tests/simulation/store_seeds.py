"""The seeds of `./run simulate store`: crashes of the real store, at every write and sync."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path

from gateway.errors import StoreError
from tests.faults.store_torture import MEMORY, SEEDS_A_RECORDING, PromiseBroken, torture
from tests.harness.disk_trace import NO_COMPILER, built_tracer


def why_not() -> str:
    """What is missing on this machine; empty when nothing is."""
    return NO_COMPILER if built_tracer() is None else ""


def chunk_starts(start: int, seeds: int) -> list[tuple[int, int]]:
    """(start, count) of pieces that need one recording each."""
    pieces = []
    at, end = start, start + seeds
    while at < end:
        following = min(end, (at // SEEDS_A_RECORDING + 1) * SEEDS_A_RECORDING)
        pieces.append((at, following - at))
        at = following
    return pieces


def run_store_chunk(start: int, count: int, _mutant: str | None) -> list[str]:
    """Crash once for each seed; what went wrong with the first that failed ends the chunk."""
    logging.getLogger("gateway").setLevel(logging.CRITICAL)
    parent = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="store-torture-", dir=parent) as directory:
        try:
            asyncio.run(torture(range(start, start + count), Path(directory)))
        except (PromiseBroken, StoreError) as error:
            notes = "; ".join(getattr(error, "__notes__", ()))
            seed = notes.removeprefix("seed ").partition(":")[0]
            return [f"{notes}: {error}\nagain: ./run simulate store --start {seed} --seeds 1"]
    return []
