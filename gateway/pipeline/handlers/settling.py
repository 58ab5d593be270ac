"""Makes durable what handlers are done with: everything that ended meanwhile in one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gateway.errors import StoreUnavailable
from gateway.events import Run
from gateway.store import GroupDesk, Leased, Put, Settlement, StreamStore

COMMITS_TABLE = "handler-commits"
RETRY_S = 0.5

PutsOf = Callable[[Sequence[Run]], Sequence[Put]]


class Done(NamedTuple):
    """A record that a function has worked off, and what came of it."""

    leased: Leased
    runs: Sequence[Run]
    is_settled: asyncio.Future[bool]


class Settler:
    """Settles the records of one group, in the order in which they were done.

    Theory of operation. A commit holds the records that are done, what their functions published,
    and a number. When the disk refuses, the commit may have landed all the same; the number in the
    log says so, and what was published must not be written twice.
    """

    def __init__(
        self, store: StreamStore, desk: GroupDesk, group: str, worker: str, puts_of: PutsOf
    ) -> None:
        self._store = store
        self._desk = desk
        self._group = group
        self._worker = worker
        self._puts_of = puts_of
        self._waiting: list[Done] = []
        self._commit_count: int | None = None
        self._settling: asyncio.Task[None] | None = None

    async def settle(self, leased: Leased, runs: Sequence[Run]) -> bool:
        """Settle a record and keep what came of it; False when its lease had expired."""
        is_settled = asyncio.get_running_loop().create_future()
        self._waiting.append(Done(leased, runs, is_settled))
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self._settle_waiting(), name="handler commits")
        return await asyncio.shield(is_settled)

    async def drain(self) -> None:
        """Wait until nothing is under way."""
        if self._settling is not None:
            await asyncio.gather(self._settling, return_exceptions=True)

    async def _settle_waiting(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting, []
            try:
                held = await self._commit(taken)
            except BaseException as error:
                for one in taken:
                    if not one.is_settled.done():
                        one.is_settled.set_exception(error)
                raise
            for one, is_held in zip(taken, held, strict=True):
                if not one.is_settled.done():
                    one.is_settled.set_result(is_held)

    async def _commit(self, taken: Sequence[Done]) -> Sequence[bool]:
        number = await self._next_number()
        is_new = True
        while True:
            own = Put(COMMITS_TABLE, self._group, str(number).encode())
            try:
                return await self._desk.work.settle(
                    self._group, self._worker, self._settlements(taken, own, is_new=is_new)
                )
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
                is_new = is_new and not await self._has_landed(own)

    def _settlements(self, taken: Sequence[Done], own: Put, *, is_new: bool) -> list[Settlement]:
        """What to write; of what is in the log already only that it is settled."""
        if not is_new:
            return [Settlement(one.leased.ticket) for one in taken]
        settlements = [
            Settlement(one.leased.ticket, one.runs, self._puts_of(one.runs)) for one in taken
        ]
        first = settlements[0]
        settlements[0] = first._replace(state=[*first.state, own])
        return settlements

    async def _next_number(self) -> int:
        while self._commit_count is None:
            try:
                value = await self._store.table(COMMITS_TABLE).get(self._group)
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
            else:
                self._commit_count = int(value or b"0")
        self._commit_count += 1
        return self._commit_count

    async def _has_landed(self, own: Put) -> bool:
        while True:
            try:
                return await self._store.table(COMMITS_TABLE).get(self._group) == own.value
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
