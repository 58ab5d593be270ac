"""What a run of the benchmarks is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.ingest.load import Load


@dataclass(frozen=True, slots=True)
class Plan:
    """The load, how often each measurement is repeated, and the directory that holds the logs."""

    directory: Path
    load: Load
    rounds: int = 3
    idle_s: float = 10.0
