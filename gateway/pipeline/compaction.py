"""The loop that keeps the last record of each key where a stream wants just that, at leisure."""

from __future__ import annotations

import asyncio
import logging

from gateway.errors import StoreUnavailable
from gateway.store import StreamStore

LOG = logging.getLogger(__name__)
INTERVAL_MS = 60_000
PAUSE_MS = 20


class Compaction:
    """Compacts what is worth it, in small steps with pauses between them."""

    def __init__(
        self, store: StreamStore, interval_ms: int = INTERVAL_MS, pause_ms: int = PAUSE_MS
    ) -> None:
        self._store = store
        self._interval_ms = interval_ms
        self._pause_ms = pause_ms

    async def run(self) -> None:
        """Work until cancelled; a disk that refuses is tried again at the next interval."""
        while True:
            await asyncio.sleep(self._interval_ms / 1_000)
            try:
                await self.catch_up()
            except StoreUnavailable as error:
                LOG.warning("compaction has to wait: %s", error)

    async def catch_up(self) -> None:
        """Compact, step by step, everything that is worth it now.

        Raises:
            StoreUnavailable: the disk refused; what was compacted stays so.
        """
        while True:
            if not await self._store.compact_step():
                return
            await asyncio.sleep(self._pause_ms / 1_000)
