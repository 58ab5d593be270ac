"""A log on a disk that takes its time, refuses, fills up, and survives what happens to its owner.

The durable part is a `MemoryStore`'s own dictionaries: they change at the one moment at which a
commit lands. Before that moment a crash undoes the commit, after it the commit stands, whether or
not anybody was told.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.errors import StoreError, StoreFull, StoreUnavailable
from gateway.events import Run
from gateway.store import Appended, Put
from gateway.store.memory import MemoryStore, Request
from gateway.store.recent import Recent
from tests.simulation.virtual_loop import VirtualClock, VirtualLoop

RECENT_BYTES_MAX = 1 << 14


@dataclass
class Disk:
    """What is left when a process dies, and how the medium behaves."""

    chance: random.Random
    commit_s: tuple[float, float] = (0.000_2, 0.003)
    refusal: type[StoreError] | None = None
    commit_no: int = 0
    contents: dict[str, object] = field(default_factory=dict)


class DiskStore(MemoryStore):
    """One life of a store on a disk; the next life begins with what this one left."""

    KEPT = ("_specs", "_logs", "_tables", "_committed", "_generations")

    def __init__(self, disk: Disk, loop: VirtualLoop, clock: VirtualClock) -> None:
        super().__init__(clock=clock)
        self._disk = disk
        self._loop = loop
        self._under_way: list[Request] = []
        self._has_landed = False
        self._is_dead = False
        self.recent = Recent(RECENT_BYTES_MAX, last_commit_no=disk.commit_no)
        for name in self.KEPT:
            setattr(self, name, disk.contents.setdefault(name, getattr(self, name)))

    def submit(
        self,
        runs: Sequence[Run],
        puts: Sequence[Put],
        group: str,
        offsets: Mapping[tuple[str, int], int],
    ) -> asyncio.Future[Appended]:
        future: asyncio.Future[Appended] = self._loop.create_future()
        for run in runs:
            self._log(run.stream, run.partition)
        if self._is_dead or self._is_closed:
            future.set_exception(StoreUnavailable("the store is closed"))
            return future
        self._queue.append(Request(runs, puts, group, offsets, future))
        if not self._under_way:
            self._loop.call_soon(self._begin)
        return future

    def _begin(self) -> None:
        """Take everything that waits into one commit, and write for a while."""
        if self._under_way or not self._queue or self._is_dead:
            return
        self._under_way, self._queue = self._queue, []
        self._has_landed = False
        duration_s = self._disk.chance.uniform(*self._disk.commit_s)
        landing_s = duration_s * self._disk.chance.random()
        self._loop.call_later(landing_s, self._land)
        self._loop.call_later(duration_s, self._finish)

    def _land(self) -> None:
        """From now on a crash finds the commit on the disk."""
        if self._is_dead or self._disk.refusal is not None:
            return
        self._has_landed = True
        told = [request.future for request in self._under_way]
        self._answers = self.apply(self._under_way)
        self._disk.commit_no = self.recent.last_commit_no
        assert not any(future.done() and not future.cancelled() for future in told)

    def apply(self, requests: list[Request]) -> list[Appended]:
        """Make the changes of a commit, and wake the readers."""
        unheard = [request._replace(future=self._loop.create_future()) for request in requests]
        self._queue, waiting = unheard, self._queue
        self._commit()
        self._queue = waiting
        return [request.future.result() for request in unheard]

    def _finish(self) -> None:
        """The disk has answered: tell everybody, and begin the next commit."""
        if self._is_dead:
            return
        requests, self._under_way = self._under_way, []
        if not self._has_landed:
            # What waits behind a commit that fails fails with it, or order would be lost.
            requests, self._queue = [*requests, *self._queue], []
        for number, request in enumerate(requests):
            if request.future.done():
                continue
            if self._has_landed:
                request.future.set_result(self._answers[number])
            else:
                refusal = self._disk.refusal or StoreUnavailable
                request.future.set_exception(refusal("the disk refuses"))
        self._begin()

    def die(self) -> None:
        """Lose everything that has not landed."""
        self._is_dead = True
        self._queue.clear()
        self._under_way.clear()

    async def close(self) -> None:
        self._is_closed = True
        self.recent.wake()


FULL, BROKEN = StoreFull, StoreUnavailable
