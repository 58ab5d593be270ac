"""What writing costs the flash below: bytes written per byte accepted, a daily budget, a forecast.

Figures come from the process's own counters and, where there is one, from the block device. When a
commit is made follows from them in `gateway.store.pacing`.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import orjson

from gateway.store.pacing import STRETCH_MAX
from gateway.store.protocol import DAY_MS, StreamReader

WEAR_TABLE = "store"
WEAR_KEY = "wear"
SECTOR_BYTES = 512
SECTORS_WRITTEN_FIELD = 6
NARROWING_SHARE = 0.5
PROCESS_IO = Path("/proc/self/io")
BLOCK_DEVICES = Path("/sys/dev/block")


@dataclass(frozen=True, slots=True)
class WearTotals:
    """What was accepted and written since `since_ms`, over all runs of a data directory.

    `accepted_bytes` counts payloads. `running_ms` is how long a gateway has run in that time.
    `device_bytes` is what the whole block device wrote meanwhile, whoever asked; 0 where unknown.
    """

    since_ms: int = 0
    running_ms: int = 0
    accepted_events: int = 0
    accepted_bytes: int = 0
    written_bytes: int = 0
    device_bytes: int = 0

    @property
    def write_ratio(self) -> float | None:
        """Bytes written for each payload byte; None before anything was accepted."""
        return self.written_bytes / self.accepted_bytes if self.accepted_bytes else None

    @property
    def bytes_per_day(self) -> float | None:
        """What a day of running writes; None before anything has run."""
        return self.written_bytes / self.running_ms * DAY_MS if self.running_ms else None

    def plus(self, other: WearTotals) -> WearTotals:
        """Both together, since when this one began."""
        return WearTotals(
            self.since_ms or other.since_ms,
            self.running_ms + other.running_ms,
            self.accepted_events + other.accepted_events,
            self.accepted_bytes + other.accepted_bytes,
            self.written_bytes + other.written_bytes,
            self.device_bytes + other.device_bytes,
        )


class WearForecast(NamedTuple):
    """How long a card lasts: days left at the present rate, and the share of it that is used up."""

    days_left: float
    used_ratio: float


@dataclass(frozen=True, slots=True)
class WearOptions:
    """What the flash may bear: written in a day, and in its life; None sets no limit."""

    write_budget_bytes: int | None = None
    card_endurance_bytes: int | None = None


class WriteBudget:
    """Spreads what may be written in a day over that day, by how long commits wait.

    A day is 24 hours of running, from the first look on.
    """

    def __init__(self, bytes_per_day: int, written_bytes: int, now_ms: int) -> None:
        self._bytes_per_day = bytes_per_day
        self._day_began_ms = self._looked_ms = now_ms
        self._day_began_bytes = self._looked_bytes = written_bytes
        self.stretch = 1.0

    @property
    def spent_bytes(self) -> int:
        """What has been written since the day began."""
        return self._looked_bytes - self._day_began_bytes

    @property
    def is_exceeded(self) -> bool:
        """Whether more was written than a day may write."""
        return self.spent_bytes > self._bytes_per_day

    def look(self, written_bytes: int, now_ms: int) -> float:
        """Take the counters anew; returns how many times as long as usual commits are to wait."""
        elapsed_ms = now_ms - self._looked_ms
        if elapsed_ms <= 0:
            return self.stretch
        rate = (written_bytes - self._looked_bytes) / elapsed_ms
        self._looked_bytes, self._looked_ms = written_bytes, now_ms
        if now_ms - self._day_began_ms >= DAY_MS:
            self._day_began_ms, self._day_began_bytes = now_ms, written_bytes
        left_ms = self._day_began_ms + DAY_MS - now_ms
        left_bytes = max(self._bytes_per_day - self.spent_bytes, 0)
        # Late in the day a little must not look like a lot: tomorrow has the same right.
        allowed = min(left_bytes / left_ms, 2 * self._bytes_per_day / DAY_MS)
        if rate > allowed:
            self.stretch = min(self.stretch * 2, STRETCH_MAX)
        elif rate < NARROWING_SHARE * allowed:
            self.stretch = max(self.stretch / 2, 1.0)
        return self.stretch


def forecast_wear(totals: WearTotals, endurance_bytes: int) -> WearForecast | None:
    """How long a card that can be written `endurance_bytes` in its life will last.

    Counts what the gateway writes, or the whole device where that is known and more; None before
    there is a rate.
    """
    written_bytes = max(totals.written_bytes, totals.device_bytes)
    if not totals.running_ms or not written_bytes:
        return None
    bytes_per_day = written_bytes / totals.running_ms * DAY_MS
    left_bytes = max(endurance_bytes - written_bytes, 0)
    return WearForecast(left_bytes / bytes_per_day, written_bytes / endurance_bytes)


async def read_wear(reader: StreamReader) -> WearTotals:
    """What the log remembers of its wear; zeros when it remembers nothing.

    Raises:
        StoreUnavailable: the disk refused.
    """
    encoded = await reader.entry(WEAR_TABLE, WEAR_KEY)
    return WearTotals() if encoded is None else decode_wear(encoded)


def encode_wear(totals: WearTotals) -> bytes:
    """The value that is kept in the table `WEAR_TABLE` under `WEAR_KEY`."""
    return orjson.dumps(asdict(totals))


def decode_wear(encoded: bytes) -> WearTotals:
    """Undo `encode_wear`; what can't be read counts as nothing."""
    try:
        return WearTotals(**orjson.loads(encoded))
    except (TypeError, ValueError):
        return WearTotals()


def own_written_bytes(path: Path = PROCESS_IO) -> int | None:
    """What this process has had written to storage since it began; None where nobody counts."""
    try:
        lines = path.read_text().splitlines()
        counters = dict(line.split(": ") for line in lines)
        # Pages that were written to and then given up never reach the disk.
        cancelled_bytes = int(counters.get("cancelled_write_bytes", 0))
        return max(int(counters["write_bytes"]) - cancelled_bytes, 0)
    except (OSError, KeyError, ValueError):
        return None


def device_written_bytes(directory: Path, devices: Path = BLOCK_DEVICES) -> int | None:
    """What the block device below `directory` has written since it was there; None if unknown."""
    try:
        device = directory.stat().st_dev
        fields = (devices / f"{os.major(device)}:{os.minor(device)}" / "stat").read_text().split()
        return int(fields[SECTORS_WRITTEN_FIELD]) * SECTOR_BYTES
    except (OSError, IndexError, ValueError):
        return None
