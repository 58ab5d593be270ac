"""A member of a group that shares its partitions, in the process of the desk or in any other.

What it reads comes straight from the log; the desk is only told of its life and its offsets.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.errors import MemberFenced, StoreUnavailable
from gateway.events import RecordBatch, Run
from gateway.store.cursors import TAIL_RECORDS_MAX, Key
from gateway.store.groups.desk import Desk, Wish
from gateway.store.groups.membership import Share
from gateway.store.protocol import Appended, Gap, Put, StreamReader, Tail

BEATS_IN_A_SESSION = 4
NOTHING = Share(0, frozenset(), frozenset())


class SharingMember:
    """A `Member` whose partitions come and go with other members.

    Call `poll` only when what was polled before is done with: it lets go of the partitions that
    others wait for.
    """

    def __init__(self, reader: StreamReader, desk: Desk, wish: Wish) -> None:
        self._reader = reader
        self._desk = desk
        self._wish = wish
        self._member = ""
        self._share = NOTHING
        self._positions: dict[Key, int] = {}
        self._tail: Tail | None = None
        self._gaps: list[Gap] = []
        self._changed = asyncio.Event()
        self._failure: Exception | None = None
        self._beating: asyncio.Task[None] | None = None

    @classmethod
    async def join(cls, reader: StreamReader, desk: Desk, wish: Wish) -> SharingMember:
        """Take a seat and begin to give signs of life.

        Raises:
            StoreError: as `Desk.join` says.
        """
        member = cls(reader, desk, wish)
        member._member = await desk.join(wish)
        await member.beat()
        member._beating = asyncio.create_task(member._beat_on(), name="group member")
        return member

    @property
    def gaps(self) -> Sequence[Gap]:
        return self._gaps

    @property
    def positions(self) -> Mapping[Key, int]:
        """The partitions that the member holds, each with the next offset that `poll` returns."""
        return self._positions

    @property
    def is_asked_to_release(self) -> bool:
        """Whether others wait for a partition; commit what is done, then poll."""
        return bool(self._share.leaving)

    async def poll(self, *, records_max: int = TAIL_RECORDS_MAX) -> Sequence[RecordBatch]:
        while True:
            await self._settle_share()
            if self._tail is None:
                await self._wait_for_change()
                continue
            batches = await self._read(self._tail, records_max)
            if batches is not None:
                return batches

    async def commit(
        self,
        *,
        outputs: Sequence[Run] = (),
        state: Sequence[Put] = (),
        offsets: Mapping[Key, int] | None = None,
    ) -> Appended:
        return await self._desk.commit(self._member, offsets or {}, outputs, state)

    async def beat(self) -> None:
        """Give a sign of life and learn what is held.

        Raises:
            MemberFenced: the seat is gone.
        """
        share = await self._desk.beat(self._member)
        if (share.held, share.leaving) != (self._share.held, self._share.leaving):
            self._changed.set()
        self._share = share

    async def close(self) -> None:
        await self.die()
        with contextlib.suppress(MemberFenced, StoreUnavailable):
            await self._desk.leave(self._member)

    async def die(self) -> None:
        """Give no sign of life any more, and say nothing."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        if self._tail is not None:
            self._tail.close()

    async def _beat_on(self) -> None:
        while True:
            await asyncio.sleep(self._wish.session_ms / BEATS_IN_A_SESSION / 1000)
            try:
                await self.beat()
            except (MemberFenced, StoreUnavailable) as failure:
                self._failure = failure
                self._changed.set()
                return

    async def _settle_share(self) -> None:
        """Let go of what others wait for, and take up what is new."""
        if self._failure is not None:
            raise self._failure
        # Nobody need wait a beat for what this member can see by itself.
        if self._changed.is_set() or self._share.leaving or self._tail is None:
            if self._share.leaving:
                await self._desk.release(self._member, sorted(self._share.leaving))
            await self.beat()
            self._changed.clear()
        if set(self._share.held) != set(self._positions):
            await self._move_to(self._share.held)

    async def _move_to(self, held: frozenset[Key]) -> None:
        fresh = sorted(held - set(self._positions))
        committed = await self._desk.committed(self._member, fresh) if fresh else {}
        kept = {key: offset for key, offset in self._positions.items() if key in held}
        self._positions = {**kept, **committed}
        self._follow()

    def _follow(self) -> None:
        if self._tail is not None:
            self._tail.close()
        self._tail = self._reader.follow(self._positions) if self._positions else None

    async def _wait_for_change(self) -> None:
        await self._changed.wait()

    async def _read(self, tail: Tail, records_max: int) -> Sequence[RecordBatch] | None:
        """Read on, unless the share changes first; None then."""
        reading = asyncio.ensure_future(tail.next(records_max=records_max))
        changing = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({reading, changing}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self._break_off(reading, changing)
            raise
        if not reading.done():
            await self._break_off(reading, changing)
            return None
        changing.cancel()
        batches = reading.result()
        self._gaps = list(tail.gaps)
        for stream, partition, _, stop_offset, _ in self._gaps:
            key = (stream, partition)
            self._positions[key] = max(self._positions[key], stop_offset)
        for batch in batches:
            self._positions[batch.stream, batch.partition] = batch.next_offset
        return batches

    async def _break_off(self, *futures: asyncio.Future[Any]) -> None:
        """Stop reading; what may have been read already is read again."""
        for future in futures:
            future.cancel()
        await asyncio.gather(*futures, return_exceptions=True)
        self._follow()
