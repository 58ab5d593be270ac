"""The loop that notes how far each stream went, so that an audit can see that an end is missing."""

from __future__ import annotations

import asyncio
import contextlib

from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.store import LEDGER_TABLE, LedgerNote, Put, StreamStore, encode_note

NOTE_INTERVAL_S = 600.0


class Ledger:
    """Writes down the log's ends, now and then and when the gateway stops."""

    def __init__(self, store: StreamStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._noted: dict[str, list[int]] = {}

    async def run(self) -> None:
        """Work until cancelled; a disk that refuses is tried again at the next interval."""
        while True:
            await asyncio.sleep(NOTE_INTERVAL_S)
            with contextlib.suppress(StoreUnavailable):
                await self.note()

    async def note(self) -> None:
        """Write down every end that has moved since the last note, in one commit.

        Raises:
            StoreUnavailable: the disk refused.
        """
        moved: dict[str, list[int]] = {}
        for spec in await self._store.streams():
            extents = await self._store.extents(spec.name)
            ends = [own.log_end_offset for own in extents]
            if any(ends) and self._noted.get(spec.name) != ends:
                moved[spec.name] = ends
        if moved:
            now_ms = self._clock.now_ms()
            puts = [
                Put(LEDGER_TABLE, stream, encode_note(LedgerNote(ends, now_ms)))
                for stream, ends in moved.items()
            ]
            await self._store.append([], puts)
            self._noted |= moved
