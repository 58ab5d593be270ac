"""Running a command for each record of a stream, as a competing consumer of a group."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.events import Record
from gateway.store import GiveBack, Leased, RemoteDesk, WorkWish

IDLE_PAUSE_S = 0.2
EXTENSIONS_IN_A_LEASE = 3
BACKOFF_MS_MAX = 60_000


@dataclass(slots=True)
class Workshop:
    """A command, and how it is run; `limit` counts down."""

    wish: WorkWish
    command: Sequence[str]
    jobs: int
    backoff_s: float
    limit: int | None
    is_drained: bool

    async def run(self, desk: RemoteDesk, yielding: asyncio.Event) -> bool:
        """Work until there is no more to do, which is True, or the desk makes way."""
        jobs = [asyncio.create_task(self._work(desk, yielding)) for _ in range(self.jobs)]
        try:
            await asyncio.gather(*jobs)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
        return not yielding.is_set()

    async def _work(self, desk: RemoteDesk, yielding: asyncio.Event) -> None:
        while not yielding.is_set() and self._may_begin():
            leased, gaps = await desk.lease(self.wish)
            for gap in gaps:
                say(
                    f"{gap.stream}/{gap.partition}: offsets {gap.start_offset} to "
                    f"{gap.stop_offset - 1} are {gap.cause}"
                )
            if leased:
                await self._settle(desk, leased[0])
                continue
            self._give_up_turn()
            if self.is_drained and not gaps:
                return
            await asyncio.sleep(IDLE_PAUSE_S)

    def _may_begin(self) -> bool:
        """Take one of the runs that the limit allows."""
        if self.limit is None:
            return True
        if self.limit <= 0:
            return False
        self.limit -= 1
        return True

    def _give_up_turn(self) -> None:
        if self.limit is not None:
            self.limit += 1

    async def _settle(self, desk: RemoteDesk, leased: Leased) -> None:
        ticket, record = leased
        place = f"{record.stream}/{record.partition}@{record.offset}"
        extending = asyncio.create_task(self._extend(desk, leased))
        try:
            exit_code = await run_command(self.command, record, ticket.deliveries)
        finally:
            extending.cancel()
            await asyncio.gather(extending, return_exceptions=True)
        own = (self.wish.group, self.wish.worker)
        if exit_code == 0:
            (is_settled,) = await desk.ack(*own, [ticket])
        else:
            delay_ms = min(int(self.backoff_s * 1000) << (ticket.deliveries - 1), BACKOFF_MS_MAX)
            is_last = ticket.deliveries >= self.wish.deliveries_max
            is_settled = await desk.nack(*own, ticket, GiveBack(f"exit {exit_code}", delay_ms))
            what = "a dead letter now" if is_last else f"tried again in {delay_ms / 1000:g} s"
            say(f"{place}: exit {exit_code} at try {ticket.deliveries}; {what}")
        if not is_settled:
            say(f"{place}: its lease had expired, so the outcome doesn't count; it goes out again")

    async def _extend(self, desk: RemoteDesk, leased: Leased) -> None:
        while True:
            await asyncio.sleep(self.wish.lease_ms / EXTENSIONS_IN_A_LEASE / 1000)
            await desk.extend(self.wish.group, self.wish.worker, leased.ticket, self.wish.lease_ms)


async def run_command(command: Sequence[str], record: Record, delivery: int) -> int:
    """Run a command with a record's payload on its stdin; returns its exit code."""
    environment = {
        "PENSTOCK_STREAM": record.stream,
        "PENSTOCK_PARTITION": str(record.partition),
        "PENSTOCK_OFFSET": str(record.offset),
        "PENSTOCK_TOPIC": record.topic,
        "PENSTOCK_DEVICE": record.device,
        "PENSTOCK_TIME_MS": str(record.arrival_ms),
        "PENSTOCK_DELIVERY": str(delivery),
    }
    running = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, env={**os.environ, **environment}
    )
    try:
        await running.communicate(record.payload)
    except asyncio.CancelledError:
        if running.returncode is None:
            running.kill()
            await running.wait()
        raise
    return running.returncode or 0


def say(message: str) -> None:
    """One line on stderr."""
    print(f"penstock: {message}", file=sys.stderr)
