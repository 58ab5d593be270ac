"""The embedded engine: one data directory, written by this process alone, read by any."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Mapping, Sequence
from functools import partial

from gateway.clock import Clock
from gateway.errors import (
    StoreDamaged,
    StoreError,
    StoreUnavailable,
    StreamInvalid,
    StreamMismatch,
)
from gateway.events import Run
from gateway.store.compaction import check_compacting
from gateway.store.cursors import Cursor, GroupMember, Key, Merged
from gateway.store.limits import Allowance
from gateway.store.liveness import Liveness
from gateway.store.options import StoreOptions
from gateway.store.protocol import (
    Appended,
    Bounds,
    Extent,
    Member,
    Put,
    Start,
    StreamSpec,
    Table,
    Tail,
    Unread,
    Volume,
)
from gateway.store.recent import Recent
from gateway.store.scrubbing import Scrubbed
from gateway.store.sqlite.committer import Committer
from gateway.store.sqlite.compactor import Compactor
from gateway.store.sqlite.damage import mend
from gateway.store.sqlite.drafts import Statement
from gateway.store.sqlite.group import GroupCommit, GroupFence, forget, submit
from gateway.store.sqlite.holding import extended, first_offset_at, with_held, with_unread
from gateway.store.sqlite.layout import layout_statement
from gateway.store.sqlite.lock_file import DirectoryLock
from gateway.store.sqlite.planning import PlannedBatch
from gateway.store.sqlite.reader import SqliteReader
from gateway.store.sqlite.retention import (
    apply_removal,
    choose_excess,
    excess,
    oldest_ms,
    removal_statements,
)
from gateway.store.sqlite.schema import DATABASE_NAME
from gateway.store.sqlite.scrubbing import REPORT_TABLE, known_batches, report_put, scrub
from gateway.store.sqlite.specs import (
    apply_spec,
    check_spec,
    ensure_statements,
    new_partitions,
)
from gateway.store.sqlite.table import SqliteTable, put_statements

LOG = logging.getLogger(__name__)


class SqliteStore(SqliteReader):
    """A `StreamStore` in one SQLite file."""

    def __init__(self, options: StoreOptions, clock: Clock, lock: DirectoryLock) -> None:
        path = options.data_dir / DATABASE_NAME
        super().__init__(path, self._report)
        self._path = path
        self._committer = Committer(path, options, self._mend)
        self._options = options
        self._clock = clock
        self._liveness = Liveness()
        self._lock = lock
        # Changes that are decided by looking at the catalog first, one at a time.
        self._deciding = asyncio.Lock()
        self._compactor = Compactor(self, clock)

    @classmethod
    async def start(cls, options: StoreOptions, clock: Clock) -> SqliteStore:
        """Lock the directory, open its file and begin to take records.

        Raises:
            StoreError: as `open_store` says; nothing stays open or locked.
        """
        lock = DirectoryLock.take(options.data_dir)
        try:
            store = cls(options, clock, lock)
            await store._replace_damaged()
            try:
                await store._committer.open()
            except StoreDamaged as error:
                await store._replace_damaged(str(error))
                await store._committer.open()
            await store._copy_layout()
        except StoreError:
            lock.release()
            raise
        return store

    async def _replace_damaged(self, finding: str | None = None) -> None:
        """Put what can be saved of a damaged database in its place, and say so in the log."""
        done = await asyncio.to_thread(
            mend,
            self._path,
            self._clock.now_ms(),
            finding,
            trusts_index=not self._lock.is_first_since_boot,
        )
        if done is not None:
            LOG.error("%s", done)

    async def _mend(self, damage: StoreDamaged) -> None:
        await self._replace_damaged(str(damage))
        await self._connection.renew()

    def _report(self, damage: StoreDamaged) -> None:
        self._committer.report(damage)

    async def _copy_layout(self) -> None:
        """Keep streams and partitions a second time, as they are now."""
        if self._committer.catalog.specs:
            # A disk that refuses this has other ways to say so.
            with contextlib.suppress(StoreUnavailable):
                await self._committer.submit((), [layout_statement(self._committer.catalog)])

    @property
    def recent(self) -> Recent:
        return self._committer.recent

    @property
    def known_commit_no(self) -> int:
        return self._committer.catalog.commit_no

    @property
    def queued_bytes(self) -> int:
        return self._committer.queued_bytes

    async def ensure(self, spec: StreamSpec) -> None:
        check_spec(spec)
        async with self._deciding:
            catalog = self._committer.catalog
            known = catalog.specs.get(spec.name)
            if known == spec:
                return
            if known is not None and known.partitions != spec.partitions:
                raise StreamMismatch(
                    f"stream {spec.name!r} has {known.partitions} partitions, not "
                    f"{spec.partitions}; a partition count never changes: name another stream"
                )
            self._check_written(spec)
            created = [] if known else new_partitions(spec, catalog)
            statements = ensure_statements(spec, created)
            statements.append(layout_statement(catalog, spec, created))
            await self._committer.submit((), statements, partial(apply_spec, spec, created))

    def _check_written(self, spec: StreamSpec) -> None:
        if spec.durability == "memory":
            return
        keys = [(spec.name, partition) for partition in range(spec.partitions)]
        if self._committer.unwritten.snapshot(keys):
            raise StreamInvalid(
                f"stream {spec.name!r} holds records in memory alone; stop the gateway cleanly "
                f"before its durability becomes {spec.durability!r}"
            )

    async def streams(self) -> Sequence[StreamSpec]:
        return list(self._committer.catalog.specs.values())

    def append(self, runs: Sequence[Run], puts: Sequence[Put] = ()) -> asyncio.Future[Appended]:
        partitions = self._committer.catalog.partitions
        for run in runs:
            if (run.stream, run.partition) not in partitions:
                raise self._committer.catalog.unknown(run.stream, run.partition)
        statements = put_statements(puts) if puts else ()
        return self._committer.submit(runs, statements, is_urgent=not runs)

    @property
    def appended(self) -> Volume:
        return self._committer.appended

    def widen(self, stretch: float) -> None:
        self._committer.widen(stretch)

    async def bounds(self, stream: str, partition: int) -> Bounds:
        state = self._committer.catalog.partition(stream, partition)
        return Bounds(state.log_start_offset, state.log_end_offset)

    async def extents(self, stream: str) -> Sequence[Extent]:
        found = await super().extents(stream)
        unwritten = self._committer.unwritten
        return [
            with_held(
                own,
                unwritten.batches_of((stream, own.partition)),
                await self.bounds(stream, own.partition),
            )
            for own in found
        ]

    async def offset_at(self, stream: str, partition: int, time_ms: int) -> int | None:
        held = self._committer.unwritten.batches_of((stream, partition))
        found = await super().offset_at(stream, partition, time_ms)
        return first_offset_at(held, time_ms) if found is None else found

    async def unread(self, stream: str, partition: int, offset: int) -> Unread:
        held = self._committer.unwritten.batches_of((stream, partition))
        return with_unread(await super().unread(stream, partition, offset), held, offset)

    async def read_merged(self, positions: Mapping[Key, int], allowance: Allowance) -> Merged:
        held = self._committer.unwritten.snapshot(positions)
        merged = await super().read_merged(positions, allowance)
        return merged if merged.has_more or not held else extended(merged, held, allowance)

    def tail(self, streams: Sequence[str], start: Start) -> Tail:
        after_commit_no = self.known_commit_no if start == "latest" else 0
        return self._cursor(self._positions(streams, start), after_commit_no)

    def join(self, group: str, streams: Sequence[str], *, start: Start = "earliest") -> Member:
        positions = self._positions(streams, start)
        committed = self._committer.catalog.committed.get(group, {})
        positions.update((key, committed[key]) for key in positions if key in committed)
        fence = GroupFence(self._committer, group)

        async def resolve() -> dict[Key, int]:
            await fence.register()
            return positions

        return GroupMember(Cursor(self, resolve), fence)

    def commit_group(
        self,
        group: str,
        generation: int,
        *,
        outputs: Sequence[Run] = (),
        state: Sequence[Put] = (),
        offsets: Mapping[Key, int] | None = None,
    ) -> asyncio.Future[Appended]:
        content = GroupCommit(group, generation, outputs, state, dict(offsets or {}))
        return submit(self._committer, content)

    async def forget_group(self, group: str) -> None:
        await forget(self._committer, group)

    def table(self, name: str) -> Table:
        return SqliteTable(name, self._connection, self._committer)

    async def retain_step(self) -> int:
        async with self._deciding:
            self._liveness.look(self._committer.catalog.committed, self._clock.monotonic_ms())
            batches: list[PlannedBatch] = []
            trimmed = 0
            for spec in await self.streams():
                batches += await self._excess(spec)
                trimmed += await self._trim(spec)
            if batches:
                statements = removal_statements(batches, self._committer.catalog)
                await self._committer.submit((), statements, partial(apply_removal, batches))
            return len(batches) + trimmed

    async def compact_step(self, stream: str | None = None) -> int:
        specs = list(await self.streams())
        if stream is not None:
            self._committer.catalog.of_streams([stream])
            specs = [self._committer.catalog.specs[stream]]
            check_compacting(specs[0])
        async with self._deciding:
            return await self._compactor.step(specs, is_forced=stream is not None)

    async def change(self, statements: Sequence[Statement]) -> None:
        """Make changes of batches that are there already durable, all of them or none."""
        await self._committer.submit((), statements, is_urgent=False)

    async def scrub_step(self, position: int) -> Scrubbed:
        try:
            found = await asyncio.to_thread(scrub, self._path, position)
        except StoreDamaged as damage:
            self._report(damage)
            raise
        if found.damaged:
            known = known_batches(report for _, report in await self.entries(REPORT_TABLE))
            fresh = [own for own in found.damaged if own.batch_id not in known]
            found = found._replace(damaged=fresh)
            if fresh:
                await self.append([], [report_put(fresh, self._clock.now_ms())])
        return found

    async def close(self) -> None:
        # Readers first: the last connection to close moves the WAL into the main file.
        await super().close()
        await self._committer.close()
        self._lock.release()

    async def let_pass(self) -> None:
        await self._committer.precedence.let_pass()

    async def wait(self, after_commit_no: int) -> None:
        await self.recent.wait(after_commit_no)

    def _cursor(self, positions: dict[Key, int], after_commit_no: int) -> Cursor:
        async def resolve() -> dict[Key, int]:
            return positions

        return Cursor(self, resolve, after_commit_no)

    def _positions(self, streams: Sequence[str], start: Start) -> dict[Key, int]:
        states = self._committer.catalog.of_streams(streams)
        if start == "latest":
            return {(own.stream, own.partition): own.log_end_offset for own in states}
        asked = {} if start == "earliest" else start
        return {
            (own.stream, own.partition): asked.get(
                (own.stream, own.partition), own.log_start_offset
            )
            for own in states
        }

    async def _trim(self, spec: StreamSpec) -> int:
        """Let go of what memory alone holds beyond the limits, once the file holds nothing."""
        positions = self._positions([spec.name], "earliest")
        unwritten = self._committer.unwritten
        if not unwritten.snapshot(positions) or (await self.plan(positions)).batches:
            return 0
        excess_count = excess(
            spec.retention_count,
            (own.log_end_offset - own.log_start_offset for own in await self.extents(spec.name)),
        )
        floors = dict.fromkeys(positions, sys.maxsize)
        if spec.behind == "block":
            floors |= self._liveness.floors(positions, self._clock.monotonic_ms())
        before_ms = oldest_ms(spec, self._clock)
        return unwritten.trim(self._committer.catalog, excess_count, before_ms, floors)

    async def _excess(self, spec: StreamSpec) -> list[PlannedBatch]:
        positions = self._positions([spec.name], "earliest")
        plan = await self.plan(positions)
        extents = await self.extents(spec.name)
        floors: Mapping[Key, int] = {}
        if spec.behind == "block":
            floors = self._liveness.floors(positions, self._clock.monotonic_ms())
        free = [
            own for own in plan.batches if own.next_offset <= floors.get(own.key, own.next_offset)
        ]
        # Nothing is too old while nobody knows what time it is.
        now_ms = self._clock.now_ms() if self._clock.is_right() else 0
        return choose_excess(spec, extents, free, now_ms)
