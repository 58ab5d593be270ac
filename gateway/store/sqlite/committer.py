"""The one writer of a data directory: it turns the requests of many callers into few commits.

What a commit consists of is `gateway.store.sqlite.drafts`'; how readers see it is not its affair.

Theory of operation. `submit` puts a request into the queue at once, so the order of calls is the
order in the log. One task takes everything that is queued, up to a size, makes it one commit, and
resolves its futures; what arrives meanwhile becomes the next. At low load a request therefore
leaves after one fsync, and under load commits grow instead of becoming more.

A commit of records alone is one INSERT in autocommit: one trip to the connection's thread. Table
changes need BEGIN IMMEDIATE … COMMIT. `synchronous` is FULL unless every stream in the commit is
content with the kernel's care (`os`). Large bodies are compressed on another thread. What memory
streams take is left to `gateway.store.sqlite.unwritten`, and written in turns of its own.

After an error nothing that the file should hold is trusted in memory: whatever waits is refused,
the connection is closed, which rolls back, and opened anew; the catalog is read from the file; the
window of recent commits is emptied. Since a kernel may forget pages that it failed to write, the
WAL is first moved into the main file, whose own fsync then tells the truth. Until all that has
worked, requests are refused at once, and it is tried again with growing pauses. The commit that
failed may be in the log all the same: the file's last commit number tells, and then its callers
hear that it was made. When the file can't be asked for `VERDICT_S_MAX`, they hear that it was not.

When the disk is full, the reserve is given up. Records are refused until there is room for the
reserve again, or room inside the file; changes of tables alone use what the reserve has left.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeVar

import aiosqlite

from gateway.errors import StoreDamaged, StoreError, StoreFull, StoreUnavailable
from gateway.events import Run
from gateway.store.batch_format import BatchCompressor
from gateway.store.options import StoreOptions
from gateway.store.pacing import Pacing
from gateway.store.protocol import Appended, Volume
from gateway.store.recent import Recent, memory_bytes
from gateway.store.sqlite.catalog import Catalog, load_catalog
from gateway.store.sqlite.connections import (
    bound_wal,
    bytes_within,
    close_quietly,
    closed_on_error,
    connect_writer,
    empty_wal,
    unavailable,
)
from gateway.store.sqlite.drafts import CommitDraft, Request, Statement, apply_nothing
from gateway.store.sqlite.precedence import Precedence
from gateway.store.sqlite.reservations import load_reservations, skip_lost
from gateway.store.sqlite.reserve import DiskReserve, free_bytes
from gateway.store.sqlite.rows import BatchRow, insert_sql
from gateway.store.sqlite.unwritten import Unwritten, write_out
from gateway.store.sqlite.wal_limit import WalLimit

INLINE_BYTES_MAX = 32 << 10
REOPEN_PAUSE_MIN_S = 0.05
REOPEN_PAUSE_MAX_S = 5.0
VERDICT_S_MAX = 2.0
ROOM_PAUSE_S = 1.0
OPENING_BYTES = 128 << 10
Mend = Callable[[StoreDamaged], Awaitable[None]]
StoreErrorT = TypeVar("StoreErrorT", bound=StoreError)
UNENCODABLE = (TypeError, ValueError, OverflowError)


class Committer:
    """Owns the writing connection, the catalog, and the window of recent commits."""

    def __init__(self, path: Path, options: StoreOptions, mend: Mend) -> None:
        self.catalog = Catalog()
        self.recent = Recent(options.tail_bytes_max, last_commit_no=0)
        self.queued_bytes = 0
        self.appended = Volume(0, 0)
        self.unwritten = Unwritten(options.memory_bytes_max, options.memory_ms)
        self._path = path
        self._options = options
        self._connection: aiosqlite.Connection | None = None
        self._is_synced = True
        self._queue: deque[Request] = deque()
        self._underway: Sequence[Request] = ()
        self._draft: CommitDraft | None = None
        self._pacing = Pacing(options.pacing(), self._now_ms())
        self._reserve = DiskReserve(path.parent, options.reserve_bytes)
        self._is_full = False
        self._no_room = f"no room for {path}; free some space, nothing was lost"
        self._wal = WalLimit(path, options.wal_bytes_max)
        self._room_sought_s = float("-inf")
        self._queue_changed = asyncio.Event()
        self._linger_over = asyncio.Event()
        self._closing = asyncio.Event()
        self._failure: StoreUnavailable | None = None
        self._mend = mend
        self._damage: StoreDamaged | None = None
        self.precedence = Precedence()
        self._compressor = BatchCompressor()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, read the catalog and begin to take requests.

        Raises:
            StoreError: as `connect_writer` does; nothing is left open.
        """
        try:
            await self._connect()
        except StoreUnavailable:
            # A disk without any room can't even be read beside others.
            if free_bytes(self._path.parent) > OPENING_BYTES or not self._reserve.give_up():
                raise
            await self._connect()
        self._is_full = not self._reserve.take()
        self._task = asyncio.create_task(self._run(), name="store committer")

    def report(self, damage: StoreDamaged) -> None:
        """Have a database that a reader found to be broken replaced by what can be saved of it."""
        if self._failure is None:
            self._damage = damage
            self._queue_changed.set()

    async def close(self) -> None:
        """Commit what is queued, then let go of the file; later requests are refused."""
        self._closing.set()
        self._queue_changed.set()
        self._linger_over.set()
        if self._task is not None:
            await self._task
        self.recent.wake()

    def submit(
        self,
        runs: Sequence[Run],
        statements: Sequence[Statement] = (),
        apply: Callable[[Catalog], None] = apply_nothing,
        *,
        is_urgent: bool = True,
    ) -> asyncio.Future[Appended]:
        """Queue runs, which must fit the catalog, and table changes for the next commit, at once.

        What is not urgent waits for others to share its commit, as the pacing says. The future
        fails with StoreFull or StoreUnavailable; nothing of the request is durable then, as far as
        anybody may rely on.
        """
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        refusal = self._refusal(runs)
        if refusal is not None:
            future.set_exception(refusal)
            return future
        size_bytes = memory_bytes(runs)
        self._queue.append(Request(runs, statements, apply, size_bytes, future))
        self.queued_bytes += size_bytes
        self._queue_changed.set()
        if not self._pacing.is_immediate:
            self._pace(runs, size_bytes, is_urgent=is_urgent)
        return future

    def widen(self, stretch: float) -> None:
        """Make the windows between commits so many times as long as usual."""
        self._pacing.widen(stretch)
        self._linger_over.set()

    @property
    def is_full(self) -> bool:
        """Whether records are refused because there is no room for them."""
        return self._is_full or self._wal.is_exceeded

    def _pace(self, runs: Sequence[Run], size_bytes: int, *, is_urgent: bool) -> None:
        if is_urgent:
            self._pacing.hurry()
            self._linger_over.set()
        elif self._pacing.arrive(runs, size_bytes, self._now_ms()):
            self._linger_over.set()

    def _refusal(self, runs: Sequence[Run]) -> StoreUnavailable | None:
        if runs and self.is_full and self._failure is None and not self._closing.is_set():
            self._queue_changed.set()
            return StoreFull(self._no_room if self._is_full else self._wal.refusal)
        if self._closing.is_set():
            return StoreUnavailable(f"{self._path} is closed")
        if self.queued_bytes > self._options.queued_bytes_max:
            return StoreUnavailable(
                f"{self.queued_bytes} bytes wait to be written to {self._path} already; "
                "publish more slowly"
            )
        return None if self._failure is None else anew(self._failure)

    async def _run(self) -> None:
        try:
            while await self._wait_for_requests():
                if self._damage is not None:
                    await self._recover(self._damage)
                    continue
                await self._seek_room()
                if self._queue or self.unwritten.due_ms() <= self._now_ms():
                    await self._turn()
            await self._write_last()
        finally:
            self._closing.set()
            self._refuse_all(StoreUnavailable(f"{self._path} is closed"))
            await self._disconnect()

    async def _turn(self) -> None:
        """Commit what is queued, then write out what memory streams hold, if that is due."""
        self._underway = self._take_requests() if self._queue else ()
        self.precedence.begin()
        try:
            if self._underway:
                await self._commit(self._underway)
                self._wal.look()
            if self.unwritten.due_ms() <= self._now_ms():
                await self._write_out()
        except sqlite3.Error as error:
            await self._recover(unavailable(error, self._path))
        except UNENCODABLE as error:
            self._refuse(self._underway, StoreError(f"a record can't be stored: {error}"))
            self.queued_bytes -= sum(own.size_bytes for own in self._underway)
        finally:
            self.precedence.end()

    async def _wait_for_requests(self) -> bool:
        """Return whether there is something to commit; False ends the task."""
        is_idle = not self._queue and self.unwritten.due_ms() > self._now_ms()
        if is_idle and self._damage is None:
            if self._closing.is_set():
                return False
            self._queue_changed.clear()
            await self._queue_changed.wait()
        if self._damage is not None:
            return not self._closing.is_set()
        if not self._pacing.is_immediate:
            await self._linger()
        return bool(self._queue) or not self._closing.is_set()

    async def _linger(self) -> None:
        """Wait until the pacing finds that what is queued is due."""
        while self._queue and not self._closing.is_set():
            self._linger_over.clear()
            wait_s = (self._pacing.due_ms() - self._now_ms()) / 1000
            if wait_s <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._linger_over.wait()

    def _now_ms(self) -> float:
        return asyncio.get_running_loop().time() * 1000

    async def _seek_room(self) -> None:
        """See now and then whether what a full disk had taken away is back."""
        now_s = self._now_ms() / 1000
        if now_s < self._room_sought_s + ROOM_PAUSE_S:
            return
        self._room_sought_s = now_s
        if self._connection is not None:
            await self._wal.seek_end(self._connection)
        if self._reserve.take():
            self._is_full = False
        elif self._is_full and self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                # Appends use what retention has freed in the file before they let it grow.
                room_bytes = await bytes_within(self._connection)
                self._is_full = room_bytes < self._options.reserve_bytes

    def _take_requests(self) -> list[Request]:
        taken = [self._queue.popleft()]
        size_bytes = taken[0].size_bytes
        while self._queue:
            size_bytes += self._queue[0].size_bytes
            if size_bytes > self._options.commit_bytes_max:
                break
            taken.append(self._queue.popleft())
        self._pacing.begin()
        if self._queue:
            self._pacing.hurry()
        return taken

    async def _commit(self, requests: Sequence[Request]) -> None:
        draft = self._draft = CommitDraft(self.catalog, requests)
        if draft.volatile:
            draft.statements += self.unwritten.reserve(draft.volatile)
        rows = draft.rows(await self._compress(draft.pack()))
        if rows or draft.statements:
            await self._write(rows, draft.statements, is_synced=draft.is_synced)
        self.appended = self.appended.plus(draft.volume())
        size_bytes = sum(request.size_bytes for request in requests)
        self.recent.add(draft.settle(self.catalog, rows), size_bytes)
        if draft.held:
            self.unwritten.add(draft.held, self._now_ms(), self._queue_changed.set)
        self.queued_bytes -= size_bytes
        for request in requests:
            request.apply(self.catalog)
            if not request.future.done():
                request.future.set_result(Appended(draft.commit_no, request.base_offsets))
        if not self._pacing.is_immediate:
            now_ms = self._now_ms()
            for request in requests:
                self._pacing.acknowledge(request.runs, now_ms)

    async def _write_out(self) -> None:
        """Write a piece of what each memory stream holds, in a commit of its own."""
        await write_out(self.unwritten, self.catalog, self._compress, self._write)
        self.recent.add([], 0)

    async def _write_last(self) -> None:
        """Leave nothing in memory alone when the log is closed; what was reserved is given back."""
        # Where the disk refuses, it stays reserved, and whoever opens the log goes on behind it.
        with contextlib.suppress(sqlite3.Error, *UNENCODABLE):
            while self.unwritten and self._connection is not None:
                await self._write_out()
            released = self.unwritten.release()
            if released and self._connection is not None:
                await self._write([], released)

    async def _compress(self, packed: Sequence[bytes]) -> Sequence[bytes]:
        if sum(map(len, packed)) <= INLINE_BYTES_MAX:
            return list(map(self._compressor.compress, packed))
        return await asyncio.get_running_loop().run_in_executor(
            None, lambda: list(map(self._compressor.compress, packed))
        )

    async def _write(
        self, rows: Sequence[BatchRow], statements: Sequence[Statement], *, is_synced: bool = True
    ) -> None:
        """Make rows and table changes durable in one transaction.

        Raises:
            sqlite3.Error: the transaction may still be open; closing the connection ends it.
        """
        connection = self._connection
        assert connection is not None  # noqa: S101 - requests are refused while there is none
        if is_synced is not self._is_synced:
            await connection.execute_fetchall(
                f"PRAGMA synchronous = {'FULL' if is_synced else 'NORMAL'}"
            )
            self._is_synced = is_synced
        if statements:
            await connection.execute_fetchall("BEGIN IMMEDIATE")
        if rows:
            await connection.execute_fetchall(
                insert_sql(len(rows)), list(chain.from_iterable(rows))
            )
        for sql, parameters in statements:
            await connection.executemany(sql, parameters)
        if statements:
            await connection.execute_fetchall("COMMIT")

    async def _recover(self, failure: StoreUnavailable) -> None:
        """Refuse what waits, connect anew, however long it takes; see what became of the draft."""
        self._failure = failure
        if isinstance(failure, StoreFull) and self._options.reserve_bytes:
            self._reserve.give_up()
            self._is_full = True
        self._refuse_queue(failure)
        await self._disconnect()
        pause_s = REOPEN_PAUSE_MIN_S
        loop = asyncio.get_running_loop()
        verdict_due = loop.call_later(VERDICT_S_MAX, self._refuse_underway, failure)
        while not self._closing.is_set():
            try:
                if isinstance(failure, StoreDamaged):
                    await self._mend(failure)
                await self._connect(is_suspect=not isinstance(failure, StoreFull))
            except StoreError:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._closing.wait()
                pause_s = min(2 * pause_s, REOPEN_PAUSE_MAX_S)
            else:
                self._failure = self._damage = None
                self._accept_landed()
                break
        verdict_due.cancel()
        self._refuse_underway(failure)

    def _accept_landed(self) -> None:
        """Tell the callers of a failed commit that it is in the file, if it is."""
        draft = self._draft
        if draft is None or not draft.has_rows or self.catalog.commit_no != draft.commit_no:
            return
        for request in self._underway:
            if not request.future.done():
                request.future.set_result(Appended(draft.commit_no, request.base_offsets))

    async def _connect(self, *, is_suspect: bool = False) -> None:
        """Open the file and believe it; when `is_suspect`, have it rid itself of its WAL first."""
        connection = await connect_writer(self._path)
        async with closed_on_error(connection):
            try:
                if is_suspect:
                    await empty_wal(connection, self._path)
                await bound_wal(
                    connection, self._path, self._options.reserve_bytes, is_full=self._is_full
                )
                catalog = await load_catalog(connection)
                reservations = await load_reservations(connection, catalog)
                if self._task is None:
                    await skip_lost(connection, catalog, reservations)
            except sqlite3.Error as error:
                raise unavailable(error, self._path) from error
        # A member that joined in memory keeps its generation even if writing that failed.
        for group, generation in self.catalog.generations.items():
            catalog.generations[group] = max(generation, catalog.generations.get(group, 0))
        # Commits that changed tables alone leave no number in the file; readers here have seen it.
        catalog.commit_no = max(catalog.commit_no, self.catalog.commit_no)
        self.unwritten.reservations = reservations
        self.unwritten.rejoin(catalog)
        self.catalog = catalog
        self.recent.reset(catalog.commit_no)
        self._connection = connection
        self._is_synced = True

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await close_quietly(connection)

    def _refuse_all(self, failure: StoreError) -> None:
        self._refuse_underway(failure)
        self._refuse_queue(failure)

    def _refuse_underway(self, failure: StoreError) -> None:
        self._refuse(self._underway, failure)
        self._underway = ()
        self._draft = None

    def _refuse_queue(self, failure: StoreError) -> None:
        self._refuse(self._queue, failure)
        self._queue.clear()
        self.queued_bytes = 0
        self._pacing.begin()

    def _refuse(self, requests: Iterable[Request], failure: StoreError) -> None:
        for request in requests:
            if not request.future.done():
                request.future.set_exception(anew(failure))


def anew(failure: StoreErrorT) -> StoreErrorT:
    """The same error once more, since each one that is raised gathers a traceback of its own."""
    return type(failure)(*failure.args)
