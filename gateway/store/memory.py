"""The engine that keeps nothing: a log in plain lists, for tests of whatever stands on a store.

It is slow and obvious on purpose, and can leave holes in its offsets as other logs do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gateway.clock import Clock, SystemClock
from gateway.errors import (
    MemberFenced,
    OffsetOutOfRange,
    StoreUnavailable,
    StreamMismatch,
    UnknownStream,
)
from gateway.events import RecordBatch, Run
from gateway.store.compaction import LastOffsets, Replacing, check_compacting, check_limits
from gateway.store.cursors import Cursor, GroupMember, Key, Merged
from gateway.store.limits import Allowance
from gateway.store.protocol import (
    Appended,
    Bounds,
    Caps,
    Chunk,
    Extent,
    Gap,
    GroupOffsets,
    Member,
    Put,
    Start,
    StreamSpec,
    Table,
    Tail,
    Unread,
    Volume,
)
from gateway.store.recent import Recent, memory_bytes
from gateway.store.scrubbing import Scrubbed

RECENT_BYTES_MAX = 1 << 16
RECORD_BYTES_MAX = 256 << 20


class Request(NamedTuple):
    """What one call wants in the next commit."""

    runs: Sequence[Run]
    puts: Sequence[Put]
    group: str
    offsets: Mapping[Key, int]
    future: asyncio.Future[Appended]


class Log:
    """One partition: its batches, and the offsets it has come to."""

    def __init__(self) -> None:
        self.batches: list[RecordBatch] = []
        self.start_offset = 0
        self.end_offset = 0
        self.last_ms = 0


class MemoryStore:
    """A `StreamStore` whose records are gone when the process is.

    After each batch it skips `hole` offsets, as Kafka does for its own markers.
    """

    def __init__(self, hole: int = 0, clock: Clock | None = None) -> None:
        self.recent = Recent(RECENT_BYTES_MAX, last_commit_no=0)
        self._hole = hole
        self._clock = clock or SystemClock()
        self._specs: dict[str, StreamSpec] = {}
        self._logs: dict[Key, Log] = {}
        self._queue: list[Request] = []
        self._tables: dict[str, dict[str, bytes]] = {}
        self._committed: dict[str, dict[Key, int]] = {}
        self._generations: dict[str, int] = {}
        self._is_closed = False
        self._appended = Volume(0, 0)

    @property
    def caps(self) -> Caps:
        return Caps(
            shared=False,
            atomic_commit=True,
            compaction=True,
            time_index=True,
            manage_streams=True,
            record_bytes_max=RECORD_BYTES_MAX,
            durabilities=frozenset({"fsync", "os", "memory"}),
        )

    @property
    def queued_bytes(self) -> int:
        return sum(memory_bytes(request.runs) for request in self._queue)

    async def ensure(self, spec: StreamSpec) -> None:
        known = self._specs.get(spec.name, spec)
        if known.partitions != spec.partitions:
            raise StreamMismatch(
                f"stream {spec.name!r} has {known.partitions} partitions, not {spec.partitions}"
            )
        check_limits(spec)
        self._specs[spec.name] = spec
        for partition in range(spec.partitions):
            self._logs.setdefault((spec.name, partition), Log())

    async def streams(self) -> Sequence[StreamSpec]:
        return [self._specs[name] for name in sorted(self._specs)]

    def append(self, runs: Sequence[Run], puts: Sequence[Put] = ()) -> asyncio.Future[Appended]:
        return self.submit(runs, puts, "", {})

    @property
    def appended(self) -> Volume:
        return self._appended

    @property
    def known_commit_no(self) -> int:
        return self.recent.last_commit_no

    def widen(self, stretch: float) -> None:
        """Do nothing: commits cost nothing here."""

    def submit(
        self, runs: Sequence[Run], puts: Sequence[Put], group: str, offsets: Mapping[Key, int]
    ) -> asyncio.Future[Appended]:
        """Queue everything for the commit that is made when the loop comes round."""
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        for run in runs:
            self._log(run.stream, run.partition)
        if self._is_closed:
            future.set_exception(StoreUnavailable("the store is closed"))
            return future
        if not self._queue:
            asyncio.get_running_loop().call_soon(self._commit)
        self._queue.append(Request(runs, puts, group, offsets, future))
        return future

    async def fetch(
        self,
        stream: str,
        partition: int,
        offset: int,
        *,
        records_max: int = 10_000,
        bytes_max: int = 4 << 20,
    ) -> Chunk:
        log = self._log(stream, partition)
        if not log.start_offset <= offset <= log.end_offset:
            raise OffsetOutOfRange(
                f"{stream}/{partition} holds {log.start_offset} … {log.end_offset}, not {offset}"
            )
        merged = await self.read_merged(
            {(stream, partition): offset}, Allowance(records_max, bytes_max)
        )
        return Chunk(stream, partition, merged.batches, merged.positions[stream, partition])

    async def read_merged(self, positions: Mapping[Key, int], allowance: Allowance) -> Merged:
        fresh = [
            batch if batch.base_offset >= position else batch.slice(position, batch.next_offset)
            for key, position in positions.items()
            for batch in self._logs[key].batches
            if batch.next_offset > position
        ]
        fresh.sort(key=lambda batch: (batch.commit_no, batch.stream, batch.partition))
        moved = dict(positions)
        gaps = []
        for (stream, partition), position in positions.items():
            start_offset = self._logs[stream, partition].start_offset
            if position < start_offset:
                gaps.append(Gap(stream, partition, position, start_offset, "removed"))
                moved[stream, partition] = start_offset
        found: list[RecordBatch] = []
        for batch in fresh:
            taken = allowance.take(batch)
            if taken is not None:
                found.append(taken)
                moved[batch.stream, batch.partition] = taken.next_offset
            if taken is not batch:
                return Merged(found, gaps, moved, batch.commit_no - 1, has_more=True)
        for key in positions:
            moved[key] = max(moved[key], self._logs[key].end_offset)
        return Merged(found, gaps, moved, self.recent.last_commit_no, has_more=False)

    async def wait(self, after_commit_no: int) -> None:
        await self.recent.wait(after_commit_no)

    async def bounds(self, stream: str, partition: int) -> Bounds:
        log = self._log(stream, partition)
        return Bounds(log.start_offset, log.end_offset)

    async def extents(self, stream: str) -> Sequence[Extent]:
        if stream not in self._specs:
            raise UnknownStream(f"no stream {stream!r}")
        return [
            self._extent(partition, self._logs[stream, partition])
            for partition in range(self._specs[stream].partitions)
        ]

    async def offset_at(self, stream: str, partition: int, time_ms: int) -> int | None:
        for batch in self._log(stream, partition).batches:
            for record in batch.records():
                if record.arrival_ms >= time_ms:
                    return record.offset
        return None

    def tail(self, streams: Sequence[str], start: Start) -> Tail:
        after_commit_no = self.recent.last_commit_no if start == "latest" else 0
        return self._cursor(self._positions(streams, start), after_commit_no)

    def join(self, group: str, streams: Sequence[str], *, start: Start = "earliest") -> Member:
        generation = self._generations.get(group, 0) + 1
        self._generations[group] = generation
        committed = self._committed.setdefault(group, {})
        own = {key: offset for key, offset in committed.items() if key[0] in streams}
        positions = self._positions(streams, start) | own
        return GroupMember(self._cursor(positions, 0), MemoryFence(self, group, generation))

    def follow(self, positions: Mapping[Key, int]) -> Tail:
        return self._cursor(dict(positions), 0)

    def commit_group(
        self,
        group: str,
        generation: int,
        *,
        outputs: Sequence[Run] = (),
        state: Sequence[Put] = (),
        offsets: Mapping[Key, int] | None = None,
    ) -> asyncio.Future[Appended]:
        for key, offset in (offsets or {}).items():
            end_offset = self._log(*key).end_offset
            if not 0 <= offset <= end_offset:
                raise OffsetOutOfRange(f"{key[0]}/{key[1]} ends at {end_offset}, not at {offset}")
        committed = self.submit(outputs, state, group, offsets or {})
        self._generations[group] = max(generation, self._generations.get(group, 0))
        return committed

    async def groups(self) -> Sequence[GroupOffsets]:
        return [
            GroupOffsets(name, generation, dict(self._committed.get(name, {})))
            for name, generation in sorted(self._generations.items())
        ]

    async def forget_group(self, group: str) -> None:
        await self.append(())
        self._generations.pop(group, None)
        self._committed.pop(group, None)

    async def unread(self, stream: str, partition: int, offset: int) -> Unread:
        log = self._log(stream, partition)
        left = [batch for batch in log.batches if batch.next_offset > offset]
        if not left:
            return Unread(0, 0, None)
        stored_bytes = sum(memory_bytes(batch.runs) for batch in left)
        return Unread(log.end_offset - offset, stored_bytes, left[0].runs[0].arrival_ms)

    def table(self, name: str) -> Table:
        return MemoryTable(self, name)

    def table_of(self, table: str) -> dict[str, bytes]:
        """The last value of every key of a table."""
        return self._tables.setdefault(table, {})

    async def entry(self, table: str, key: str) -> bytes | None:
        return self.table_of(table).get(key)

    async def entries(self, table: str, prefix: str = "") -> Sequence[tuple[str, bytes]]:
        return await self.table(table).items(prefix)

    def generation(self, group: str) -> int:
        """How often somebody has joined the group."""
        return self._generations.get(group, 0)

    async def retain_step(self) -> int:
        removed = 0
        for spec in self._specs.values():
            if spec.retention_count is not None:
                removed += self._retain_count(spec, spec.retention_count)
        return removed

    async def compact_step(self, stream: str | None = None) -> int:
        if stream is not None:
            self._log(stream, 0)
            check_compacting(self._specs[stream])
        names = self._specs if stream is None else [stream]
        keys = [key for key in self._logs if key[0] in names]
        return sum(self._compact(self._logs[key], self._specs[key[0]]) for key in keys)

    async def scrub_step(self, position: int) -> Scrubbed:
        return Scrubbed(0, 0)

    async def close(self) -> None:
        self._commit()
        self._is_closed = True
        self.recent.wake()

    def _log(self, stream: str, partition: int) -> Log:
        log = self._logs.get((stream, partition))
        if log is None:
            raise UnknownStream(f"no stream {stream!r} with a partition {partition}")
        return log

    def _cursor(self, positions: dict[Key, int], after_commit_no: int) -> Cursor:
        async def resolve() -> dict[Key, int]:
            return positions

        return Cursor(self, resolve, after_commit_no)

    def _positions(self, streams: Sequence[str], start: Start) -> dict[Key, int]:
        for stream in streams:
            self._log(stream, 0)
        logs = {key: log for key, log in self._logs.items() if key[0] in streams}
        if start == "latest":
            return {key: log.end_offset for key, log in logs.items()}
        asked = {} if start == "earliest" else start
        return {key: asked.get(key, log.start_offset) for key, log in logs.items()}

    def _extent(self, partition: int, log: Log) -> Extent:
        stored_bytes = sum(memory_bytes(batch.runs) for batch in log.batches)
        first_ms = log.batches[0].runs[0].arrival_ms if log.batches else None
        last_ms = log.batches[-1].last_arrival_ms if log.batches else None
        return Extent(partition, log.start_offset, log.end_offset, stored_bytes, first_ms, last_ms)

    def _retain_count(self, spec: StreamSpec, count_max: int) -> int:
        logs = [self._logs[spec.name, partition] for partition in range(spec.partitions)]
        removed = 0
        while sum(batch.count for log in logs for batch in log.batches) > count_max:
            log = min(
                (log for log in logs if log.batches), key=lambda log: log.batches[0].commit_no
            )
            log.batches.pop(0)
            log.start_offset = log.batches[0].base_offset if log.batches else log.end_offset
            removed += 1
        return removed

    def _compact(self, log: Log, spec: StreamSpec) -> int:
        """Remove what later records replace; return how many records went."""
        if spec.compact_by is None:
            return 0
        last = LastOffsets(spec.compact_by)
        for batch in log.batches:
            last.add(batch)
        before_ms = self._clock.now_ms() - spec.tombstones_ms
        replacing = Replacing(spec.compact_by, last.offsets, before_ms)
        count = sum(batch.count for batch in log.batches)
        log.batches = replacing.thin(log.batches)
        return count - sum(batch.count for batch in log.batches)

    def _commit(self) -> None:
        requests, self._queue = self._queue, []
        if not requests:
            return
        commit_no = self.recent.last_commit_no + 1
        batches: list[RecordBatch] = []
        for request in requests:
            base_offsets = [self._store(run, commit_no, batches) for run in request.runs]
            for put in request.puts:
                if put.value is None:
                    self.table_of(put.table).pop(put.key, None)
                else:
                    self.table_of(put.table)[put.key] = put.value
            self._committed.setdefault(request.group, {}).update(request.offsets)
            if not request.future.done():
                request.future.set_result(Appended(commit_no, base_offsets))
        batches.sort(key=lambda batch: (batch.stream, batch.partition, batch.base_offset))
        self.recent.add(batches, sum(memory_bytes(batch.runs) for batch in batches))

    def _store(self, run: Run, commit_no: int, batches: list[RecordBatch]) -> int:
        log = self._log(run.stream, run.partition)
        base_offset = log.end_offset
        if len(run):
            run.arrival_ms = log.last_ms = max(run.arrival_ms, log.last_ms)
            batch = RecordBatch(run.stream, run.partition, base_offset, commit_no, [run])
            log.batches.append(batch)
            payload_bytes = sum(map(len, run.payloads))
            self._appended = Volume(
                self._appended.records + len(run), self._appended.payload_bytes + payload_bytes
            )
            log.end_offset = batch.next_offset + self._hole
            batches.append(batch)
        return base_offset


class MemoryFence:
    """The right of one generation of a group."""

    def __init__(self, store: MemoryStore, group: str, generation: int) -> None:
        self._store = store
        self._group = group
        self._generation = generation

    def check(self) -> None:
        if self._store.generation(self._group) != self._generation:
            raise MemberFenced(f"another member has joined the group {self._group!r}")

    def commit(
        self, outputs: Sequence[Run], state: Sequence[Put], offsets: Mapping[Key, int]
    ) -> asyncio.Future[Appended]:
        self.check()
        return self._store.submit(outputs, state, self._group, offsets)


class MemoryTable:
    """Keyed state in a dict."""

    def __init__(self, store: MemoryStore, name: str) -> None:
        self._store = store
        self._name = name

    async def get(self, key: str) -> bytes | None:
        return self._store.table_of(self._name).get(key)

    async def items(self, prefix: str = "") -> Sequence[tuple[str, bytes]]:
        entries = self._store.table_of(self._name)
        return sorted((key, value) for key, value in entries.items() if key.startswith(prefix))

    async def put(self, key: str, value: bytes) -> None:
        await self._store.append((), [Put(self._name, key, value)])

    async def delete(self, key: str) -> None:
        await self._store.append((), [Put(self._name, key, None)])
