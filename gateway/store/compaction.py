"""Which records of a compacting stream a later one of the same key has replaced.

Arithmetic on decoded batches; where they lie and how they are written anew is the engines' affair.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from gateway.errors import StreamInvalid
from gateway.events import Origin, RecordBatch
from gateway.store.protocol import CompactBy, StreamSpec

KEYS_MAX = 200_000
"""How many keys one pass over a partition remembers."""


def key_of(origin: Origin, by: CompactBy) -> str:
    """What records of this origin replace each other by."""
    return origin.device if by == "device" else origin.topic


@dataclass(slots=True)
class LastOffsets:
    """The offset of each key's last record, as far as a partition was looked through."""

    by: CompactBy
    offsets: dict[str, int] = field(default_factory=dict)

    def add(self, batch: RecordBatch) -> None:
        """Take in the next batch; oldest first."""
        offset = batch.base_offset
        by_device = self.by == "device"
        for run in batch.runs:
            for origin in run.origins:
                self.offsets[origin.device if by_device else origin.topic] = offset
                offset += 1


@dataclass(frozen=True, slots=True)
class Replacing:
    """What is replaced: all but the last of each key; `tombstones_before_ms` arrived too long ago.

    A key that `offsets` doesn't hold has no later record than those at hand.
    """

    by: CompactBy
    offsets: Mapping[str, int]
    tombstones_before_ms: int

    def keeps(self, batch: RecordBatch) -> Iterator[bool]:
        """For each record of the batch whether it stays."""
        offset = batch.base_offset
        for run in batch.runs:
            is_late = run.arrival_ms >= self.tombstones_before_ms
            for origin, payload in zip(run.origins, run.payloads, strict=True):
                is_last = self.offsets.get(key_of(origin, self.by), offset) <= offset
                yield is_last and (is_late or payload != b"")
                offset += 1

    def thin(self, batches: Iterable[RecordBatch]) -> list[RecordBatch]:
        """What is left of these batches: stretches of records that lay side by side."""
        left: list[RecordBatch] = []
        for batch in batches:
            flags = list(self.keeps(batch))
            if all(flags):
                left.append(batch)
            else:
                left += cut_out(batch, flags)
        return left


def cut_out(batch: RecordBatch, flags: list[bool]) -> Iterator[RecordBatch]:
    """The stretches of a batch whose flags are set."""
    start: int | None = None
    for index, flag in enumerate([*flags, False]):
        if flag and start is None:
            start = index
        elif not flag and start is not None:
            yield batch.slice(batch.base_offset + start, batch.base_offset + index)
            start = None


def oldest_tombstone_ms(batches: Iterable[RecordBatch]) -> int | None:
    """When the oldest record without a payload arrived; None when there is none."""
    return min(
        (run.arrival_ms for batch in batches for run in batch.runs if b"" in run.payloads),
        default=None,
    )


def check_compacting(spec: StreamSpec) -> None:
    """See that a stream is one that can be compacted.

    Raises:
        StreamInvalid: it isn't.
    """
    if spec.compact_by is None:
        raise StreamInvalid(
            f"stream {spec.name!r} keeps every record; set 'compact' in its configuration"
        )


def check_limits(spec: StreamSpec) -> None:
    """See that a stream's limits go together.

    Raises:
        StreamInvalid: it compacts, and has a limit that counts what compaction has removed.
    """
    if spec.compact_by is None:
        return
    if spec.retention_bytes is not None or spec.retention_count is not None:
        raise StreamInvalid(
            f"stream {spec.name!r} compacts, so only its age may be limited, not size or count"
        )
