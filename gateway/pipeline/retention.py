"""The loop that keeps streams within their limits, in small steps and at leisure."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from gateway.errors import StoreUnavailable
from gateway.store import StreamStore

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RetentionOptions:
    """How often the oldest batches are looked at, and the pause between two steps."""

    interval_ms: int = 10_000
    pause_ms: int = 20


class Retention:
    """Removes what exceeds a stream's limits of age, size and count."""

    def __init__(self, store: StreamStore, options: RetentionOptions | None = None) -> None:
        self._store = store
        self._options = options or RetentionOptions()
        self.removed_batches = 0

    async def run(self) -> None:
        """Work until cancelled; a disk that refuses is tried again at the next interval."""
        while True:
            await asyncio.sleep(self._options.interval_ms / 1_000)
            try:
                await self.catch_up()
            except StoreUnavailable as error:
                LOG.warning("retention has to wait: %s", error)

    async def catch_up(self) -> None:
        """Remove, step by step, everything that exceeds a limit now.

        Raises:
            StoreUnavailable: the disk refused; what was removed stays removed.
        """
        while removed := await self._store.retain_step():
            self.removed_batches += removed
            await asyncio.sleep(self._options.pause_ms / 1_000)
