"""The loop that removes blobs which nothing refers to any more, folder by folder."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import StoreUnavailable
from gateway.store import BlobStore, BlobSweep, HolderCheck, StreamStore, mend_references

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SweepingOptions:
    """How long to rest between two of the 256 folders; a round takes 43 minutes by default."""

    pause_ms: int = 10_000


class Sweeping:
    """Frees what retention and removed images have left behind in the blob store."""

    def __init__(
        self,
        store: StreamStore,
        blobs: BlobStore,
        checks: Mapping[str, HolderCheck] | None = None,
        options: SweepingOptions | None = None,
    ) -> None:
        self._store = store
        self._sweep = BlobSweep(store, blobs, checks)
        self._options = options or SweepingOptions()
        self.removed = 0

    async def run(self) -> None:
        """Work until cancelled; a disk that refuses is tried again with the next folder."""
        while True:
            await asyncio.sleep(self._options.pause_ms / 1_000)
            try:
                if self._sweep.is_at_start:
                    await mend_references(self._store)
                self.removed += await self._sweep.step()
            except (StoreUnavailable, OSError) as error:
                LOG.warning("blobs have to wait: %s", error)
