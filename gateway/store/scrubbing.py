"""What one step of scrubbing found: a little of the log, read anew from the disk and checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

SCRUB_TABLE = "scrub"
SCRUB_KEY = "progress"


class DamagedBatch(NamedTuple):
    """A batch that isn't what was written, and the offsets that readers step over for it."""

    batch_id: int
    stream: str
    partition: int
    start_offset: int
    stop_offset: int

    def __str__(self) -> str:
        return f"{self.stream}/{self.partition} {self.start_offset} to {self.stop_offset - 1}"


class Scrubbed(NamedTuple):
    """Where to go on, 0 when everything has been read; how large it is, and what was found."""

    position: int
    file_bytes: int
    damaged: Sequence[DamagedBatch] = ()
