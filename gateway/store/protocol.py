"""The `StreamStore` protocol: what every engine of the durable, partitioned log offers.

The engines are folders beside this file; the suite in tests/gateway/store/contract.py runs on each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from gateway.events import RecordBatch, Run
from gateway.store.scrubbing import Scrubbed

Durability = Literal["fsync", "os", "memory"]
Behind = Literal["block", "drop", "alert"]
"""What becomes of records that exceed a limit before a live consumer group has read them."""

CompactBy = Literal["device", "topic"]
"""Of what a compacting stream keeps the last record."""

Start = Literal["earliest", "latest"] | Mapping[tuple[str, int], int]
"""Where a reader begins: at an end of the log, or at an offset for each (stream, partition)."""

DAY_MS = 86_400_000


class Caps(NamedTuple):
    """What an engine can do; callers ask here instead of asking which engine it is."""

    shared: bool
    atomic_commit: bool
    compaction: bool
    time_index: bool
    manage_streams: bool
    record_bytes_max: int
    durabilities: frozenset[Durability]


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream: its name for ever, its partition count for ever, and what it keeps.

    A limit of None keeps everything. Loss window of each durability: `fsync` none; `os` what the
    kernel had not written at a power cut; `memory` what the engine had not written out yet, as it
    does now and then and at a clean stop. `behind`: `block` keeps what a live group has not read,
    `drop` removes it and the group gets a gap, and `alert` does as `drop`, but warns some minutes
    before. With `compact_by`, records that a later one of the same key replaces are removed in
    time; an empty payload removes its key, and is itself removed after `tombstones_ms`. Only age
    may limit such a stream, too.
    """

    name: str
    partitions: int = 4
    durability: Durability = "fsync"
    retention_age_ms: int | None = 7 * DAY_MS
    retention_bytes: int | None = None
    retention_count: int | None = None
    behind: Behind = "drop"
    compact_by: CompactBy | None = None
    tombstones_ms: int = DAY_MS


class Put(NamedTuple):
    """One change of a keyed table; None deletes the key."""

    table: str
    key: str
    value: bytes | None


class Bounds(NamedTuple):
    """A partition holds offsets `log_start_offset` … `log_end_offset` - 1, possibly with holes."""

    log_start_offset: int
    log_end_offset: int


class Extent(NamedTuple):
    """How much one partition holds: bounds, size on disk, oldest and newest arrival."""

    partition: int
    log_start_offset: int
    log_end_offset: int
    stored_bytes: int
    first_ms: int | None
    last_ms: int | None


class Gap(NamedTuple):
    """Offsets `start_offset` … `stop_offset` - 1 held records that are lost, and why."""

    stream: str
    partition: int
    start_offset: int
    stop_offset: int
    cause: Literal["damaged", "removed"]


class Appended(NamedTuple):
    """What a commit made durable: for each run handed in, the offset of its first record."""

    commit_no: int
    base_offsets: Sequence[int]


class GroupOffsets(NamedTuple):
    """What one consumer group has committed: of each partition the next offset to be read."""

    name: str
    generation: int
    offsets: Mapping[tuple[str, int], int]


class Unread(NamedTuple):
    """What lies at an offset and after: records (holes counted), size on disk, oldest arrival."""

    records: int
    stored_bytes: int
    first_ms: int | None


class Volume(NamedTuple):
    """How much a store has taken since it was opened."""

    records: int
    payload_bytes: int

    def plus(self, other: Volume) -> Volume:
        """Both together."""
        return Volume(self.records + other.records, self.payload_bytes + other.payload_bytes)


class Chunk(NamedTuple):
    """What one fetch found, oldest first, and where the next one begins; holes are stepped over."""

    stream: str
    partition: int
    batches: Sequence[RecordBatch]
    next_offset: int
    gaps: Sequence[Gap] = ()


class Tail(Protocol):
    """A reader of every partition of some streams, history first, then live, in one order.

    Batches come ordered by (commit_no, stream, partition), without a gap or a repetition at the
    seam between what is read from disk and what has just been committed.
    """

    @property
    def gaps(self) -> Sequence[Gap]:
        """What was lost to damage or retention just before or within what `next` last returned."""
        ...

    async def next(self, *, records_max: int = 10_000) -> Sequence[RecordBatch]:
        """Wait for committed batches and return them, oldest first; empty only after `close`."""
        ...

    def close(self) -> None:
        """Let go of the log; a waiting `next` returns empty."""
        ...


class Member(Protocol):
    """One member of a consumer group: it reads from the group's committed offsets, and commits."""

    @property
    def gaps(self) -> Sequence[Gap]:
        """What was lost to damage or retention just before or within what `poll` last returned."""
        ...

    async def poll(self, *, records_max: int = 10_000) -> Sequence[RecordBatch]:
        """Wait for records at the member's position, move the position past them and return them.

        Ordered as `Tail.next`. The position is not the committed offset: after a crash before
        `commit`, the same records are read again.
        """
        ...

    def commit(
        self,
        *,
        outputs: Sequence[Run] = (),
        state: Sequence[Put] = (),
        offsets: Mapping[tuple[str, int], int] | None = None,
    ) -> Awaitable[Appended]:
        """Make derived records, state and offsets (next to be read) durable, all or none of them.

        Raises:
            MemberFenced: the partitions belong to another member by now; nothing was written.
        """
        ...

    async def close(self) -> None:
        """Leave the group; its committed offsets stay."""
        ...


class Table(Protocol):
    """Keyed state: last value per key, durable with the commit that carries its `Put`."""

    async def get(self, key: str) -> bytes | None: ...

    async def items(self, prefix: str = "") -> Sequence[tuple[str, bytes]]:
        """Every key that begins with `prefix`, with its value, in key order."""
        ...

    async def put(self, key: str, value: bytes) -> None:
        """Set one key; returns when durable."""
        ...

    async def delete(self, key: str) -> None:
        """Remove one key if it is there; returns when durable."""
        ...


class StreamReader(Protocol):
    """What can be read from a log, by the process that writes it and by any other.

    Offsets increase and may have holes.
    """

    @property
    def caps(self) -> Caps: ...

    async def streams(self) -> Sequence[StreamSpec]:
        """Every stream, by name."""
        ...

    async def fetch(
        self,
        stream: str,
        partition: int,
        offset: int,
        *,
        records_max: int = 10_000,
        bytes_max: int = 4 << 20,
    ) -> Chunk:
        """Read the records at `offset` and after, oldest first.

        Returns at least one record when there is one, however large; then stops before a limit is
        passed. Empty at the log end. A damaged batch is stepped over and reported in `Chunk.gaps`.

        Raises:
            UnknownStream: no such stream or partition.
            OffsetOutOfRange: retention removed `offset`, or it is past the log end.
        """
        ...

    async def bounds(self, stream: str, partition: int) -> Bounds: ...

    async def extents(self, stream: str) -> Sequence[Extent]:
        """How much each partition holds, by partition."""
        ...

    async def offset_at(self, stream: str, partition: int, time_ms: int) -> int | None:
        """The first offset that arrived at `time_ms` or later; None when there is none yet."""
        ...

    async def entry(self, table: str, key: str) -> bytes | None:
        """The last value of one key of a table; None when there is none."""
        ...

    async def entries(self, table: str, prefix: str = "") -> Sequence[tuple[str, bytes]]:
        """Every key of a table that begins with `prefix`, with its value, in key order."""
        ...

    def tail(self, streams: Sequence[str], start: Start) -> Tail:
        """Read every partition of `streams` from `start` on; what retention removed is a gap."""
        ...

    def follow(self, positions: Mapping[tuple[str, int], int]) -> Tail:
        """Read just these partitions, each from its offset on; what retention removed is a gap."""
        ...

    async def groups(self) -> Sequence[GroupOffsets]:
        """Every consumer group that has committed something, by name."""
        ...

    async def unread(self, stream: str, partition: int, offset: int) -> Unread:
        """What a reader at `offset` has still before it; sizes are of whole batches.

        Raises:
            UnknownStream: no such stream or partition.
        """
        ...

    async def close(self) -> None:
        """Let go of the log; later calls raise StoreUnavailable."""
        ...


class ConsumerStore(StreamReader, Protocol):
    """What a consumer of the log needs, in the process that writes the log and in others.

    The order of `append` calls is the order in each partition.
    """

    async def ensure(self, spec: StreamSpec) -> None:
        """Create the stream, or verify that it exists as specified; retention limits are updated.

        Raises:
            StreamMismatch: it exists with another partition count.
            StreamInvalid: this engine doesn't offer that name, partition count or durability.
        """
        ...

    def append(self, runs: Sequence[Run], puts: Sequence[Put] = ()) -> Awaitable[Appended]:
        """Queue runs and table changes for the next group commit, at once; await it for durability.

        The runs belong to the store from now on: readers share them, so they must not change.
        Records of one partition never get an `arrival_ms` below that of an earlier one: the store
        raises it. UnknownStream is raised by the call itself, the others by the awaiting.

        Raises:
            UnknownStream: a run names no stream or partition that exists; nothing was queued.
            StoreFull: no room; nothing was written.
            StoreUnavailable: the disk refused; nothing was acknowledged; it may be repeated.
        """
        ...

    def join(self, group: str, streams: Sequence[str], *, start: Start = "earliest") -> Member:
        """Join a consumer group; `start` counts only where the group has committed nothing yet."""
        ...

    def table(self, name: str) -> Table: ...


class StreamStore(ConsumerStore, Protocol):
    """A durable log of streams, each cut into partitions, each partition ordered by offset."""

    @property
    def queued_bytes(self) -> int:
        """Memory held by records that wait for their commit, as `memory_bytes` counts it.

        Read less from publishers while it is large.
        """
        ...

    @property
    def appended(self) -> Volume:
        """What was committed since the log was opened."""
        ...

    @property
    def known_commit_no(self) -> int:
        """The number of a commit that every reader sees from now on, in any process."""
        ...

    async def wait(self, after_commit_no: int) -> None:
        """Return once there may be a commit after that one."""
        ...

    def widen(self, stretch: float) -> None:
        """Let records wait so many times as long as usual for others to share their commit."""
        ...

    def commit_group(
        self,
        group: str,
        generation: int,
        *,
        outputs: Sequence[Run] = (),
        state: Sequence[Put] = (),
        offsets: Mapping[tuple[str, int], int] | None = None,
    ) -> Awaitable[Appended]:
        """Do as `Member.commit` for whoever coordinates a group and has checked who may.

        Raises:
            UnknownStream: a run or an offset names a partition that doesn't exist.
            OffsetOutOfRange: an offset is past the log end; nothing was queued.
        """
        ...

    async def forget_group(self, group: str) -> None:
        """Remove a group's generation and offsets; returns when durable."""
        ...

    async def retain_step(self) -> int:
        """Remove a few of the oldest batches that exceed their stream's limits; return how many.

        Call it from time to time, and again at leisure while it returns more than 0.
        """
        ...

    async def compact_step(self, stream: str | None = None) -> int:
        """Look at a few batches of streams that compact; return how many, 0 when all is done.

        Call it again while it returns more than 0. Without a stream, partitions are compacted when
        what is new in them is as much as what was kept; with one, whatever is new in it.

        Raises:
            UnknownStream: no such stream.
            StreamInvalid: that stream doesn't compact.
        """
        ...

    async def scrub_step(self, position: int) -> Scrubbed:
        """Read a little of the log anew from the disk, behind `position`, and check it.

        Damaged batches that no earlier report names are reported in the table `damage`.

        Raises:
            StoreDamaged: the file is broken; it is mended while the log stays open.
            StoreUnavailable: the disk refused.
        """
        ...

    async def close(self) -> None:
        """Commit what is queued, then let go of the log; later calls raise StoreUnavailable."""
        ...
