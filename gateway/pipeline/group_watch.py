"""The loop that looks how far consumer groups are behind, and how soon that loses them records."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from gateway.clock import Clock
from gateway.errors import StoreError
from gateway.store import GroupOffsets, StreamStore, lags_of, shortest

LOG = logging.getLogger(__name__)
INTERVAL_MS = 30_000
GROUPS_SHOWN_MAX = 200
SECOND_MS = 1_000
TOPIC_SIGNS = str.maketrans("/+#", "___")
"""What a group's name may have and a level of a topic may not."""


class GroupWatch:
    """Figures of the groups: records and bytes behind, age of the oldest, time to the first loss.

    A group that has read everything costs nothing but a look at the ends of its partitions.
    """

    def __init__(self, store: StreamStore, clock: Clock, interval_ms: int = INTERVAL_MS) -> None:
        self._store = store
        self._clock = clock
        self._interval_ms = interval_ms
        self._figures: dict[str, int] = {}

    def figures(self) -> Mapping[str, int]:
        """What the last look has found, by name; a time that nobody can tell is left out."""
        return self._figures

    async def run(self) -> None:
        """Work until cancelled; a log that can't be read is tried again at the next interval."""
        while True:
            await asyncio.sleep(self._interval_ms / SECOND_MS)
            try:
                await self.look()
            except StoreError as error:
                LOG.warning("how far groups are behind can't be seen: %s", error)

    async def look(self) -> None:
        """Bring the figures up to date.

        Raises:
            StoreError: the log can't be read.
        """
        figures: dict[str, int] = {}
        for group in (await self._store.groups())[:GROUPS_SHOWN_MAX]:
            name = f"groups/{group.name.translate(TOPIC_SIGNS)}"
            figures |= {f"{name}/{key}": value for key, value in (await self._of(group)).items()}
        self._figures = figures

    async def _of(self, group: GroupOffsets) -> dict[str, int]:
        if await self._is_at_end(group):
            return {"lag": 0, "lag/bytes": 0, "lag/age": 0, "lost": 0}
        lags = await lags_of(self._store, group, self._clock.now_ms())
        found = {
            "lag": sum(own.records for own in lags),
            "lag/bytes": sum(own.stored_bytes for own in lags),
            "lag/age": max((own.age_ms or 0 for own in lags), default=0) // SECOND_MS,
            "lost": sum(own.lost_records for own in lags),
        }
        left_ms = shortest([own.time_to_loss_ms for own in lags])
        if left_ms is not None:
            found["time_to_loss"] = left_ms // SECOND_MS
        return found

    async def _is_at_end(self, group: GroupOffsets) -> bool:
        streams = {spec.name for spec in await self._store.streams()}
        for (stream, partition), offset in group.offsets.items():
            if stream not in streams:
                continue
            if (await self._store.bounds(stream, partition)).log_end_offset > offset:
                return False
        return True
