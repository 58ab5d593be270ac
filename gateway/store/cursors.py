"""Positions that move over the log: the tail of some streams, the member of a consumer group.

Where batches come from is the engine's affair (`History`) and that of `gateway.store.recent`.

Theory of operation. A cursor has a position, the next offset, in each partition, and
`_after_commit_no`: everything up to that commit has been returned. Commits are numbered without a
hole, so when the window of recent commits covers what comes next, the cursor walks it commit by
commit; otherwise it asks the history for the batches at its positions, merged. Positions alone
decide what is new: a batch below its position is skipped and one across it is cut, so the seam
needs no agreement about where one source ends. A commit that was returned in part leaves
`_after_commit_no` before it and its positions advanced. When nothing is new the cursor waits on the
source; a wake-up is one future, however many records came.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from gateway.events import RecordBatch, Run
from gateway.store.limits import Allowance
from gateway.store.protocol import Appended, Gap, Put
from gateway.store.recent import Recent

Key = tuple[str, int]
"""A partition: stream and number."""

TAIL_RECORDS_MAX = 10_000
TAIL_BYTES_MAX = 4 << 20


class Merged(NamedTuple):
    """Batches at some positions in merge order, what was lost among them, and how far that reaches.

    The asked partitions hold nothing up to commit `complete_to` that isn't below `positions` now.
    `has_more` says that a limit ended the reading, not the log.
    """

    batches: list[RecordBatch]
    gaps: list[Gap]
    positions: Mapping[Key, int]
    complete_to: int
    has_more: bool


class History(Protocol):
    """What a cursor reads from."""

    @property
    def recent(self) -> Recent | None:
        """The window of recent commits; None when another process writes the log."""
        ...

    async def read_merged(self, positions: Mapping[Key, int], allowance: Allowance) -> Merged:
        """Read from every position on, in merge order, at least one record when there is one."""
        ...

    async def wait(self, after_commit_no: int) -> None:
        """Return once there may be more than `after_commit_no`."""
        ...


class Cursor:
    """Reads every partition of some streams, from where `resolve` says, for ever."""

    def __init__(
        self,
        history: History,
        resolve: Callable[[], Awaitable[dict[Key, int]]],
        after_commit_no: int = 0,
    ) -> None:
        self._history = history
        self._resolve = resolve
        self._positions: dict[Key, int] | None = None
        self._streams: frozenset[str] = frozenset()
        self._after_commit_no = after_commit_no
        self._has_more = False
        self._is_closed = False
        self.gaps: list[Gap] = []

    async def next(self, *, records_max: int = TAIL_RECORDS_MAX) -> Sequence[RecordBatch]:
        """Wait for batches and move past them; empty only after `close`."""
        return await self.read(records_max, TAIL_BYTES_MAX)

    async def read(self, records_max: int, bytes_max: int) -> Sequence[RecordBatch]:
        """Do as `next` within these limits."""
        if self._positions is None:
            self._positions = await self._resolve()
            self._streams = frozenset(stream for stream, _ in self._positions)
        self.gaps = []
        while not self._is_closed:
            allowance = Allowance(records_max, bytes_max)
            recent = self._history.recent
            if recent is not None and recent.covers(self._after_commit_no):
                batches = self._read_recent(recent, self._positions, allowance)
                self._has_more = False
            else:
                batches = await self._read_history(self._positions, allowance)
            if batches:
                return batches
            if not self._has_more:
                await self._wait(recent)
        return ()

    async def _wait(self, recent: Recent | None) -> None:
        if recent is None:
            await self._history.wait(self._after_commit_no)
        else:
            self._after_commit_no = await recent.wait_for(self._after_commit_no, self._streams)

    def close(self) -> None:
        """Let go of the log; a waiting `next` returns empty."""
        self._is_closed = True
        if self._history.recent is not None:
            self._history.recent.wake()

    def _read_recent(
        self, recent: Recent, positions: dict[Key, int], allowance: Allowance
    ) -> list[RecordBatch]:
        found: list[RecordBatch] = []
        while self._after_commit_no < recent.last_commit_no:
            for batch in recent.batches_of(self._after_commit_no + 1):
                fresh = part_from(batch, positions.get((batch.stream, batch.partition)))
                if fresh is None:
                    continue
                taken = allowance.take(fresh)
                if taken is None:
                    return found
                found.append(taken)
                positions[batch.stream, batch.partition] = taken.next_offset
                if taken is not fresh:
                    return found
            self._after_commit_no += 1
        return found

    async def _read_history(
        self, positions: dict[Key, int], allowance: Allowance
    ) -> list[RecordBatch]:
        merged = await self._history.read_merged(positions, allowance)
        self.gaps.extend(merged.gaps)
        positions.update(merged.positions)
        self._after_commit_no = max(self._after_commit_no, merged.complete_to)
        self._has_more = merged.has_more
        return merged.batches


def part_from(batch: RecordBatch, position: int | None) -> RecordBatch | None:
    """The part of `batch` at `position` and after; None when there is none, or no position."""
    if position is None or batch.next_offset <= position:
        return None
    if batch.base_offset >= position:
        return batch
    return batch.slice(position, batch.next_offset)


class Fence(Protocol):
    """A member's right to its partitions, as its engine sees it."""

    def check(self) -> None:
        """Return while the right stands.

        Raises:
            MemberFenced: another member has the partitions.
        """
        ...

    def commit(
        self, outputs: Sequence[Run], state: Sequence[Put], offsets: Mapping[Key, int]
    ) -> Awaitable[Appended]:
        """Check, then queue all of it for the next commit, at once."""
        ...


class GroupMember:
    """A member of a consumer group that holds every partition of its streams."""

    def __init__(self, cursor: Cursor, fence: Fence) -> None:
        self._cursor = cursor
        self._fence = fence

    @property
    def gaps(self) -> Sequence[Gap]:
        return self._cursor.gaps

    async def poll(self, *, records_max: int = TAIL_RECORDS_MAX) -> Sequence[RecordBatch]:
        self._fence.check()
        batches = await self._cursor.read(records_max, TAIL_BYTES_MAX)
        self._fence.check()
        return batches

    def commit(
        self,
        *,
        outputs: Sequence[Run] = (),
        state: Sequence[Put] = (),
        offsets: Mapping[Key, int] | None = None,
    ) -> Awaitable[Appended]:
        return self._fence.commit(outputs, state, offsets or {})

    async def close(self) -> None:
        self._cursor.close()
