"""The loop that writes down how the machine's wall clock was wrong, once it is right."""

from __future__ import annotations

import asyncio
import logging

import orjson

from gateway.clock import Clock, boot_id
from gateway.errors import StoreUnavailable
from gateway.store import CLOCK_TABLE, ClockRecord, Correction, Put, StreamStore, correction_put

LOG = logging.getLogger(__name__)
LOOK_MS = 1_000


class ClockWatch:
    """Follows the clock while the gateway runs; steps and corrections go into the log."""

    def __init__(self, store: StreamStore, clock: Clock, boot: str | None = None) -> None:
        self._store = store
        self._clock = clock
        self._boot_id = boot_id() if boot is None else boot
        self._record = ClockRecord(self._boot_id)
        self._steps_written = -1
        self._unwritten: list[Correction] = []

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                LOG.warning("the state of the clock can't be written down: %s", error)
            await asyncio.sleep(LOOK_MS / 1000)

    async def look(self) -> None:
        """Compare the clocks; write down the start, each step, and what earlier times lack.

        Raises:
            StoreUnavailable: the disk refused; it is written with the next look.
        """
        wall_ms, monotonic_ms = self._clock.now_ms(), self._clock.monotonic_ms()
        is_right = self._clock.is_right()
        self._unwritten += self._record.look(wall_ms, monotonic_ms, is_right=is_right)
        puts = [correction_put(correction) for correction in self._unwritten]
        if self._record.steps != self._steps_written:
            # A clock that is right from the start is nothing to read about.
            level = logging.DEBUG if is_right and self._steps_written < 0 else logging.INFO
            LOG.log(level, "the wall clock is %sknown to be right", "" if is_right else "not ")
            state = {"wall_ms": wall_ms, "monotonic_ms": monotonic_ms, "is_right": is_right}
            key = f"step/{wall_ms:020d}/{self._boot_id}"
            puts.append(Put(CLOCK_TABLE, key, orjson.dumps(state)))
        if puts:
            await self._store.append([], puts)
            self._steps_written = self._record.steps
            self._unwritten.clear()
