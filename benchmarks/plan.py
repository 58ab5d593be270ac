"""What a run of the benchmarks is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from firmware_sim.load import IngestLoad


@dataclass(frozen=True, slots=True)
class Plan:
    """The load, how often each measurement is repeated, and the directory that holds the logs.

    `against` is another checkout, whose gateway is measured in the same rounds. `corpus` is where
    the series of the Numenta Anomaly Benchmark lie.
    """

    directory: Path
    load: IngestLoad
    rounds: int = 3
    idle_s: float = 10.0
    is_quick: bool = False
    against: Path | None = None
    corpus: Path | None = None
