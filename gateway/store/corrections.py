"""Times of a clock that was wrong, and what to add to them: beside the log, never edited in it.

Arrival times stay as they were stored; whoever shows them may show what they should have been.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import orjson

from gateway.store.protocol import Put, StreamReader

CLOCK_TABLE = "clock"
NOTICED_MS = 1_000
STRETCHES_MAX = 64


@dataclass(frozen=True, slots=True)
class Correction:
    """Arrivals `from_ms` … `to_ms` of one run of the machine were off: add `add_ms`."""

    boot_id: str
    from_ms: int
    to_ms: int
    add_ms: int


@dataclass(slots=True)
class Stretch:
    """A time in which wall clock and monotonic clock agreed: first and last wall time seen."""

    ahead_ms: int
    from_ms: int
    to_ms: int


class ClockRecord:
    """Follows the wall clock of one run of the machine against the monotonic one."""

    def __init__(self, boot_id: str) -> None:
        self._boot_id = boot_id
        self._stretches: list[Stretch] = []
        self._is_settled = False
        self.steps = 0

    def look(self, wall_ms: int, monotonic_ms: int, *, is_right: bool) -> list[Correction]:
        """Take in both clocks; once they are known to be right, what to add to earlier times.

        A step of more than `NOTICED_MS` begins a new stretch; the oldest of too many are forgotten.
        """
        ahead_ms = wall_ms - monotonic_ms
        last = self._stretches[-1] if self._stretches else None
        if last is None or abs(ahead_ms - last.ahead_ms) > NOTICED_MS:
            self.steps += last is not None
            self._stretches.append(Stretch(ahead_ms, wall_ms, wall_ms))
            del self._stretches[:-STRETCHES_MAX]
        else:
            last.to_ms = wall_ms
        if self._is_settled or not is_right:
            return []
        self._is_settled = True
        return [
            Correction(self._boot_id, own.from_ms, own.to_ms, ahead_ms - own.ahead_ms)
            for own in self._stretches
            if abs(ahead_ms - own.ahead_ms) > NOTICED_MS
        ]


def correction_put(correction: Correction) -> Put:
    """What appends a correction to those in the log."""
    key = f"correction/{correction.from_ms:020d}/{correction.boot_id}"
    return Put(CLOCK_TABLE, key, orjson.dumps(asdict(correction)))


async def read_corrections(reader: StreamReader) -> list[Correction]:
    """Every correction in the log, by the times that they are about.

    Raises:
        StoreUnavailable: the disk refused.
    """
    entries = await reader.entries(CLOCK_TABLE, "correction/")
    return [Correction(**orjson.loads(value)) for _, value in entries]


def corrected_ms(arrival_ms: int, corrections: Sequence[Correction] | Iterable[Correction]) -> int:
    """What an arrival time should have been; itself when nothing is known against it."""
    for correction in corrections:
        if correction.from_ms <= arrival_ms <= correction.to_ms:
            return arrival_ms + correction.add_ms
    return arrival_ms
