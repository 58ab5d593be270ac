"""The loop of one handler: leases records, has the function work on them, settles them.

Theory of operation. The group `handler:NAME` has records on lease; each stands in the lane of its
device. A lane is worked off one record at a time, in order, so a device's second event waits until
the first is settled or buried; lanes compete for the workers. A record that fails stays where it is
while the function's back-off runs; after its last try it is a dead letter. A function that can't be
loaded costs no tries: the lanes wait, and the log keeps what they don't take.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.errors import StoreError, StoreUnavailable
from gateway.functions import FunctionSpec
from gateway.pipeline.handlers.occasions import Occasions, content_of, key_of
from gateway.pipeline.handlers.pool import Pool
from gateway.pipeline.handlers.publishing import Publisher, Route
from gateway.pipeline.handlers.settling import RETRY_S, PutsOf, Settler
from gateway.pipeline.handlers.workers import Answer, FunctionBroken, FunctionFailed
from gateway.pipeline.notices import notice
from gateway.store import Gap, GiveBack, GroupDesk, Leased, StreamStore, WorkWish

logger = logging.getLogger(__name__)

LEASE_MS = 30_000
EXTENSIONS_IN_A_LEASE = 3
DELIVERIES_BEYOND_TRIES = 20
"""How often a record may have been out when the gateway stopped, beside the tries it has."""

LOOK_AGAIN_S = 10.0
LOAD_AGAIN_S = 60.0
STOP_S_MAX = 5.0
JITTER_LEAST = 0.5


@dataclass(slots=True)
class Tally:
    """What a handler has done since the start."""

    done: int = 0
    failed: int = 0
    published: int = 0
    dead_lettered: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all handlers share."""

    store: StreamStore
    desk: GroupDesk
    route: Route
    puts_of: PutsOf
    clock: Clock


class HandlerLoop:
    """One handler at work, from `run` until `stop`."""

    def __init__(self, spec: FunctionSpec, around: Surroundings) -> None:
        self.spec = spec
        self.tally = Tally()
        self.broken = ""
        self._around = around
        self._occasions = Occasions(spec)
        self._publisher = Publisher(around.route, spec.client)
        self._pool = Pool(spec)
        self._settler = Settler(around.store, around.desk, spec.group, spec.name, around.puts_of)
        self._lanes: dict[str, deque[Leased]] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._held_count = 0
        self._wake = asyncio.Event()
        self._renewed = asyncio.Event()
        self._is_stopping = False
        self._chance = random.Random()  # noqa: S311 - it spreads retries and guards no secret

    @property
    def version(self) -> str:
        """What tells the loaded function from others; empty before it was ever loaded."""
        return self._pool.version

    @property
    def in_flight(self) -> int:
        """How many records it has on lease."""
        return self._held_count

    async def run(self) -> None:
        """Work until cancelled; call `stop` afterwards."""
        tasks = [
            asyncio.create_task(self._watch(), name=f"{self.spec.group} watch"),
            asyncio.create_task(self._extend(), name=f"{self.spec.group} leases"),
        ]
        try:
            while not await self._is_loaded():
                await self._await_renewal()
            while True:
                await self._take_in()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(self) -> None:
        """Let what is at work end if it does so soon; keep how far the handler is."""
        self._is_stopping = True
        if self._working:
            await asyncio.wait(self._working, timeout=STOP_S_MAX)
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
        await self._pool.close()
        await self._settler.drain()
        try:
            await self._around.desk.work.rest(self.spec.group)
        except StoreError as error:
            logger.warning("%s: %s; some events come again", self.spec.group, error)

    async def renew(self) -> bool:
        """Load the function anew; False when it can't be, and an old one goes on."""
        is_loaded = await self._is_loaded()
        if is_loaded:
            self._renewed.set()
        return is_loaded

    async def _is_loaded(self) -> bool:
        try:
            await self._pool.renew()
        except FunctionBroken as error:
            await self._degrade(error)
            return False
        self._recover()
        return True

    async def _degrade(self, error: FunctionBroken) -> None:
        """Say once what is wrong with the function."""
        if self.broken == str(error):
            return
        self.broken = str(error)
        spec = self.spec
        last_line = self.broken.splitlines()[-1]
        message = f"handler '{spec.name}' can't load {spec.call}: {last_line}"
        logger.error("%s; 'penstock handlers check' shows where", message)
        run = notice("handler_degraded", spec.name, "major", message, self._around.clock.now_ms())
        try:
            await self._around.store.append([run])
        except StoreError as refusal:
            logger.warning("that handler '%s' is degraded isn't in the log: %s", spec.name, refusal)

    def _recover(self) -> None:
        if self.broken:
            logger.info("handler '%s' is loaded again", self.spec.name)
        self.broken = ""

    async def _await_renewal(self) -> None:
        self._renewed.clear()
        try:
            async with asyncio.timeout(LOAD_AGAIN_S):
                await self._renewed.wait()
        except TimeoutError:
            return

    async def _watch(self) -> None:
        """Wake the loop whenever the stream grows."""
        while True:
            tail = self._around.store.tail([self.spec.stream], "latest")
            try:
                while True:
                    await tail.next()
                    self._wake.set()
            except StoreError:
                # The store reopens itself; what came meanwhile is looked for by the clock.
                await asyncio.sleep(RETRY_S)
            finally:
                tail.close()

    async def _extend(self) -> None:
        work = self._around.desk.work
        while True:
            await asyncio.sleep(LEASE_MS / EXTENSIONS_IN_A_LEASE / 1_000)
            for lane in list(self._lanes.values()):
                for leased in list(lane):
                    await work.extend(self.spec.group, self.spec.name, leased.ticket, LEASE_MS)

    async def _take_in(self) -> None:
        """Lease as much as there is room for; wait when there is nothing, or no room."""
        self._wake.clear()
        room = self.spec.in_flight_max - self._held_count
        if room <= 0:
            await self._wake.wait()
            return
        work = self._around.desk.work
        try:
            leased, gaps = await work.lease(wish_of(self.spec, room), self._occasions.wants)
        except StoreError as error:
            logger.warning("%s: %s", self.spec.group, error)
            is_passing = isinstance(error, StoreUnavailable)
            await asyncio.sleep(RETRY_S if is_passing else LOOK_AGAIN_S)
            return
        self._report(gaps)
        for one in leased:
            self._line_up(one)
        if leased or work.is_behind(self.spec.group):
            # Others share this thread.
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(LOOK_AGAIN_S):
                await self._wake.wait()
        except TimeoutError:
            await self._rest()

    async def _rest(self) -> None:
        """Note how far the handler is, in times when nothing is for it."""
        try:
            await self._around.desk.work.rest(self.spec.group)
        except StoreError as error:
            logger.warning("%s: %s", self.spec.group, error)

    def _report(self, gaps: Sequence[Gap]) -> None:
        for gap in gaps:
            self.tally.lost += gap.stop_offset - gap.start_offset
            logger.warning(
                "handler '%s' has missed offsets %d to %d of %s/%d: %s",
                *(self.spec.name, gap.start_offset, gap.stop_offset - 1),
                *(gap.stream, gap.partition, gap.cause),
            )

    def _line_up(self, leased: Leased) -> None:
        self._held_count += 1
        device = leased.record.device
        lane = self._lanes.get(device)
        if lane is not None:
            lane.append(leased)
            return
        self._lanes[device] = deque([leased])
        task = asyncio.create_task(self._work_off(device), name=f"{self.spec.group} {device}")
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _work_off(self, device: str) -> None:
        """Work on a device's records, one after the other, until there are none."""
        lane = self._lanes[device]
        try:
            while lane and not self._is_stopping:
                await self._work_on(lane[0])
                lane.popleft()
                self._held_count -= 1
                self._wake.set()
        finally:
            # Those that are left come back when their leases have expired, or after a restart.
            self._held_count -= len(lane)
            del self._lanes[device]

    async def _work_on(self, leased: Leased) -> None:
        """Try until the record is settled, or buried."""
        attempt = 1
        while not self._is_stopping:
            try:
                answer = await self._pool.call(content_of(leased.record, self.spec.name, attempt))
                self._recover()
                await self._settle(leased, answer)
            except FunctionBroken as error:
                await self._degrade(error)
                await self._await_renewal()
            except FunctionFailed as error:
                self.tally.failed += 1
                if attempt >= self.spec.tries_max:
                    await self._bury(leased, error, attempt)
                    return
                await asyncio.sleep(self._delay_s(attempt))
                attempt += 1
            else:
                return

    async def _settle(self, leased: Leased, answer: Answer) -> None:
        key = key_of(leased.record, self.spec.name)
        runs = self._publisher.runs_of(answer.rows, key, self._around.clock.now_ms())
        if await self._settler.settle(leased, runs):
            self.tally.done += 1
            self.tally.published += len(runs)

    async def _bury(self, leased: Leased, error: FunctionFailed, attempts: int) -> None:
        spec = self.spec
        failed_by = f"{spec.name} {self.version}"
        back = GiveBack(str(error), 0, is_final=True, failed_by=failed_by, tries=attempts)
        record = leased.record
        place = f"{record.stream}/{record.partition}@{record.offset}"
        while True:
            try:
                await self._around.desk.work.nack(spec.group, spec.name, leased.ticket, back)
            except StoreError as refusal:
                logger.warning("%s: %s: %s", spec.group, place, refusal)
                await asyncio.sleep(RETRY_S)
            else:
                break
        self.tally.dead_lettered += 1
        last_line = str(error).splitlines()[-1]
        logger.error("handler '%s': %s is a dead letter: %s", spec.name, place, last_line)

    def _delay_s(self, attempt: int) -> float:
        """How long to wait after a failed try: twice as long each time, and not all at once."""
        delay_ms = min(self.spec.backoff_ms << min(attempt - 1, 32), self.spec.backoff_ms_max)
        return delay_ms * self._chance.uniform(JITTER_LEAST, 1.0) / 1_000


def wish_of(spec: FunctionSpec, records_max: int) -> WorkWish:
    """What a handler asks the desk for."""
    return WorkWish(
        spec.group,
        spec.stream,
        spec.name,
        records_max,
        LEASE_MS,
        spec.tries_max + DELIVERIES_BEYOND_TRIES,
        spec.start,
    )
