"""How the embedded log is kept: where it lies, what may wait in memory, how it meets the disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """The settings of one data directory.

    `linger_ms` holds each commit back so that more records share it: fewer writes, later
    acknowledgements. `tail_bytes_max` bounds the recent batches that are kept decoded for readers
    that keep up. Beyond `queued_bytes_max` waiting for their commit, appends are refused.
    """

    data_dir: Path
    linger_ms: int = 0
    tail_bytes_max: int = 16 * MIB
    queued_bytes_max: int = 64 * MIB
    commit_bytes_max: int = 2 * MIB
    record_bytes_max: int = 256 * MIB
