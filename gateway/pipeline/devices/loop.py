"""The loop under every device service: it reads device topics from the log, and commits.

Theory of operation. A service is a consumer group. What it decides about the records it has read,
what it was asked in this process, whom it was told of and what the time brings goes into one turn,
and a turn is one commit: records, entries of tables and how far the group has read, all or none. So
each record has its effects once, whenever the power fails. A commit that the disk refuses is tried
again until it lands; a number in the log tells whether it did. What changes nothing is noted as
read from time to time only, because flash wears: reading it again changes nothing either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from gateway.clock import Clock
from gateway.errors import ChangeRefused, PenstockError, StoreError, StoreUnavailable
from gateway.events import Record, RecordBatch
from gateway.pipeline.devices.turns import RETRY_S, Entries, PutsOf, Route, Turn
from gateway.pipeline.pieces import cut
from gateway.store import Member, Put, StreamStore

COMMITS_TABLE = "device-service-commits"
SLICE_RECORDS = 500
UNSAVED_RECORDS_MAX = 10_000
UNSAVED_MS_MAX = 60_000
ASKED_MAX = 1_000
ARRIVED_MAX = 100_000
Result = TypeVar("Result")
Act = Callable[[Turn], Awaitable[Any]]


class Service(Protocol):
    """What one service does in a turn; it never waits for anything but entries of tables."""

    @property
    def group(self) -> str:
        """The consumer group that it is, and its name for people."""
        ...

    @property
    def streams(self) -> Sequence[str]:
        """What it reads."""
        ...

    async def begin(self, store: StreamStore) -> None:
        """Read what it must know before the first turn."""
        ...

    async def take(self, record: Record, turn: Turn) -> None:
        """Decide about a record; bad ones are refused in words, nothing is raised."""
        ...

    async def welcome(self, device: str, turn: Turn) -> None:
        """Somebody begins to listen for a device."""
        ...

    def due_ms(self) -> int | None:
        """When time alone changes something, by the wall clock; None when it never does."""
        ...

    async def wake(self, turn: Turn) -> None:
        """Do what is due."""
        ...

    def close(self) -> None:
        """It works no more; tell who waits for it."""
        ...


@dataclass(frozen=True, slots=True)
class Around:
    """What every service stands among."""

    store: StreamStore
    route: Route
    puts_of: PutsOf
    clock: Clock
    is_heard: Callable[[str, str], bool]
    """Whether somebody listens under a root for a device."""


class Asked(NamedTuple):
    """What this process wants of a service, and who waits for it."""

    act: Act
    answer: asyncio.Future[Any]


class ServiceLoop:
    """One service at work, from `run` until that is cancelled."""

    def __init__(self, service: Service, around: Around) -> None:
        self.service = service
        self._around = around
        self._entries = Entries(around.store)
        self._asked: list[Asked] = []
        self._arrived: dict[str, None] = {}
        self._called = asyncio.Event()
        self._offsets: dict[tuple[str, int], int] = {}
        self._unsaved_records = 0
        self._saved_ms = around.clock.monotonic_ms()
        self._commit_count = 0

    async def ask(self, act: Callable[[Turn], Awaitable[Result]]) -> Result:
        """Have something done in a turn; returns its result when that is durable.

        What refuses by raising must do so before it has said or put anything.

        Raises:
            StoreError: the service refused, is stopped, or has too much to do.
        """
        if len(self._asked) >= ASKED_MAX:
            raise StoreError(f"{self.service.group}: {ASKED_MAX} requests wait already")
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._asked.append(Asked(act, answer))
        self._called.set()
        return await answer

    def note_arrival(self, device: str) -> None:
        """Somebody begins to listen for a device; the next turn considers it."""
        if len(self._arrived) < ARRIVED_MAX:
            self._arrived[device] = None
            self._called.set()

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            MemberFenced: another gateway works on this log.
        """
        await self._begin()
        member = self._around.store.join(self.service.group, list(self.service.streams))
        polling = asyncio.ensure_future(member.poll())
        try:
            while True:
                calling = asyncio.ensure_future(self._called.wait())
                await asyncio.wait(
                    {polling, calling},
                    timeout=self._patience_s(),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                calling.cancel()
                batches: Sequence[RecordBatch] = ()
                if polling.done():
                    batches = await self._polled(polling)
                    polling = asyncio.ensure_future(member.poll())
                await self._take(member, batches)
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)
            self._refuse_all()
            self.service.close()
            await member.close()

    async def _begin(self) -> None:
        store, group = self._around.store, self.service.group
        while True:
            try:
                self._commit_count = int(await store.entry(COMMITS_TABLE, group) or b"0")
                await self.service.begin(store)
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _polled(
        self, polling: asyncio.Future[Sequence[RecordBatch]]
    ) -> Sequence[RecordBatch]:
        try:
            return polling.result()
        except StoreUnavailable:
            # The store reopens itself; nothing was read, so nothing is lost.
            await asyncio.sleep(RETRY_S)
            return ()

    def _patience_s(self) -> float:
        waits_ms = [UNSAVED_MS_MAX]
        due_ms = self.service.due_ms()
        if due_ms is not None:
            waits_ms.append(due_ms - self._around.clock.now_ms())
        if self._unsaved_records:
            waits_ms.append(self._saved_ms + UNSAVED_MS_MAX - self._around.clock.monotonic_ms())
        return max(0, min(waits_ms)) / 1_000

    async def _take(self, member: Member, batches: Sequence[RecordBatch]) -> None:
        for piece in cut(batches, SLICE_RECORDS) if batches else ([],):
            turn = self._turn()
            for batch in piece:
                for record in batch.records():
                    await self.service.take(record, turn)
                self._offsets[batch.stream, batch.partition] = batch.next_offset
                self._unsaved_records += batch.count
            await self._end(member, turn)

    def _turn(self) -> Turn:
        around = self._around
        return Turn(self._entries, around.route, around.clock.now_ms())

    async def _end(self, member: Member, turn: Turn) -> None:
        """See to what waits beside the records, commit, and answer."""
        arrived, self._arrived = self._arrived, {}
        asked, self._asked = self._asked, []
        self._called.clear()
        outcomes: Sequence[Any] = [StoreUnavailable("the gateway stops")] * len(asked)
        try:
            found = await self._see_to(arrived, asked, turn)
            if not turn.is_empty or self._is_save_due():
                await self._commit(member, turn)
            outcomes = found
        finally:
            for one, outcome in zip(asked, outcomes, strict=True):
                _settle(one, outcome)

    async def _see_to(
        self, arrived: Iterable[str], asked: Iterable[Asked], turn: Turn
    ) -> list[Any]:
        """Consider who is back, do what is asked, then what is due; returns the results."""
        for device in arrived:
            await self.service.welcome(device, turn)
        outcomes = [await _outcome(one.act, turn) for one in asked]
        due_ms = self.service.due_ms()
        if due_ms is not None and due_ms <= turn.now_ms:
            await self.service.wake(turn)
        return outcomes

    def _is_save_due(self) -> bool:
        waited_ms = self._around.clock.monotonic_ms() - self._saved_ms
        return self._unsaved_records >= UNSAVED_RECORDS_MAX or (
            self._unsaved_records > 0 and waited_ms >= UNSAVED_MS_MAX
        )

    async def _commit(self, member: Member, turn: Turn) -> None:
        """Write a turn, again and again while the disk refuses."""
        self._commit_count += 1
        own = Put(COMMITS_TABLE, self.service.group, str(self._commit_count).encode())
        runs = turn.runs()
        state = [Put(*place, value) for place, value in turn.puts.items()]
        offsets, self._offsets = self._offsets, {}
        self._unsaved_records = 0
        self._saved_ms = self._around.clock.monotonic_ms()
        while True:
            try:
                await member.commit(
                    outputs=runs,
                    state=[*state, *self._around.puts_of(runs), own],
                    offsets=offsets or None,
                )
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
                if await self._has_landed(own):
                    break
            else:
                break
        self._entries.take(turn.puts)
        turn.conclude()

    async def _has_landed(self, own: Put) -> bool:
        """Whether a commit that failed is in the log all the same: nothing must be said twice."""
        while True:
            try:
                return await self._around.store.entry(own.table, own.key) == own.value
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)

    def _refuse_all(self) -> None:
        asked, self._asked = self._asked, []
        for one in asked:
            _settle(one, StoreUnavailable("the gateway stops"))


async def _outcome(act: Act, turn: Turn) -> Any:
    """The result of an act, or the error with which it refused."""
    try:
        return await act(turn)
    except StoreError as error:
        return error
    except PenstockError as error:
        return ChangeRefused(str(error))


def _settle(one: Asked, outcome: Any) -> None:
    if one.answer.done():
        return
    if isinstance(outcome, Exception):
        one.answer.set_exception(outcome)
    else:
        one.answer.set_result(outcome)
