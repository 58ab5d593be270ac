"""Records and their columns: how events travel in batches from the wire to the log and back.

The encoded form on disk is `gateway.store`'s; the MQTT packets that carry them are
`gateway.mqtt`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from typing import NamedTuple


class Flag(IntFlag):
    """How a record was published; the low four bits of the PUBLISH fixed header, as on the wire.

    `CLAIM` is the gateway's own: the payload was too large for the log, and a reference to the blob
    that holds it stands in its place.

    Spec: MQTT5 §3.3.1
    """

    RETAIN = 0x01
    QOS_1 = 0x02
    QOS_2 = 0x04
    DUP = 0x08
    CLAIM = 0x10


class Origin(NamedTuple):
    """What a record is about: its topic name, and the device that it is held to be from."""

    topic: str
    device: str


class Record(NamedTuple):
    """One event as the log keeps it."""

    stream: str
    partition: int
    offset: int
    arrival_ms: int
    topic: str
    device: str
    client: str
    payload: bytes
    flags: int = 0
    properties: bytes = b""

    @property
    def qos(self) -> int:
        return (self.flags >> 1) & 0x03

    @property
    def is_retained(self) -> bool:
        return bool(self.flags & Flag.RETAIN)

    @property
    def is_claim(self) -> bool:
        """Whether the payload is a reference to a blob."""
        return bool(self.flags & Flag.CLAIM)


@dataclass(slots=True)
class Run:
    """Records of one partition that arrived together from one client, as columns, oldest first.

    `flags` holds one byte a record. `properties` holds the MQTT 5 PUBLISH properties of each record
    as they stood on the wire (without their length and without a topic alias), or None when no
    record has any.
    """

    stream: str
    partition: int
    client: str
    arrival_ms: int
    origins: Sequence[Origin]
    payloads: Sequence[bytes]
    flags: bytes
    properties: Sequence[bytes] | None = None

    def __len__(self) -> int:
        return len(self.payloads)

    def slice(self, start: int, stop: int) -> Run:
        """Copy the records with index `start` to `stop` - 1."""
        return Run(
            self.stream,
            self.partition,
            self.client,
            self.arrival_ms,
            self.origins[start:stop],
            self.payloads[start:stop],
            self.flags[start:stop],
            None if self.properties is None else self.properties[start:stop],
        )


@dataclass(slots=True)
class RecordBatch:
    """Consecutive records of one partition, with dense offsets from `base_offset` on.

    `commit_no` numbers the commit that made them durable; ordering batches of several partitions by
    (`commit_no`, stream, partition) gives one order that every reader of an engine with one writer
    agrees on.
    """

    stream: str
    partition: int
    base_offset: int
    commit_no: int
    runs: Sequence[Run]
    count: int = field(init=False)

    def __post_init__(self) -> None:
        self.count = sum(len(run) for run in self.runs)

    @property
    def next_offset(self) -> int:
        """The offset just after the last record."""
        return self.base_offset + self.count

    @property
    def last_arrival_ms(self) -> int:
        return self.runs[-1].arrival_ms

    def records(self) -> Iterator[Record]:
        """Yield every record, oldest first; the readable way, for everything but the hot paths."""
        offset = self.base_offset
        for run in self.runs:
            properties = run.properties or [b""] * len(run)
            for origin, payload, flags, own in zip(
                run.origins, run.payloads, run.flags, properties, strict=True
            ):
                yield Record(
                    self.stream,
                    self.partition,
                    offset,
                    run.arrival_ms,
                    origin.topic,
                    origin.device,
                    run.client,
                    payload,
                    flags,
                    own,
                )
                offset += 1

    def slice(self, start_offset: int, stop_offset: int) -> RecordBatch:
        """Copy the part with offsets `start_offset` … `stop_offset` - 1; may be empty."""
        kept: list[Run] = []
        offset = self.base_offset
        first = max(start_offset, self.base_offset)
        for run in self.runs:
            start = max(0, start_offset - offset)
            stop = min(len(run), stop_offset - offset)
            if start < stop:
                kept.append(run if (start, stop) == (0, len(run)) else run.slice(start, stop))
            offset += len(run)
        return RecordBatch(self.stream, self.partition, first, self.commit_no, kept)
