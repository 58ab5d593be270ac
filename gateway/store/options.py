"""How the embedded log is kept: where it lies, what may wait in memory, how it meets the disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.store.pacing import PacingOptions

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """The settings of one data directory.

    `linger_ms` holds each commit back so that more records share it: fewer writes, later
    acknowledgements; None chooses by who waits and how much arrives, as `gateway.store.pacing`
    says. `tail_bytes_max` bounds the recent batches that are kept decoded for readers that keep up.
    Beyond `queued_bytes_max` waiting for their commit, appends are refused. `reserve_bytes` of the
    disk are kept free for control data, for the day when it is full; 0 keeps nothing free. What
    streams of durability `memory` take is written out after `memory_ms`, or when it is more than
    `memory_bytes_max`. While a foreign reader lets the WAL grow beyond `wal_bytes_max`, records are
    refused.
    """

    data_dir: Path
    linger_ms: int | None = 0
    tail_bytes_max: int = 16 * MIB
    queued_bytes_max: int = 64 * MIB
    commit_bytes_max: int = 2 * MIB
    record_bytes_max: int = 256 * MIB
    reserve_bytes: int = 0
    memory_bytes_max: int = 16 * MIB
    memory_ms: int = 60_000
    wal_bytes_max: int = 1024 * MIB

    def pacing(self) -> PacingOptions:
        """When commits are made."""
        if self.linger_ms is None:
            return PacingOptions()
        return PacingOptions.fixed(self.linger_ms, self.commit_bytes_max)
