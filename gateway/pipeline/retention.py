"""The loop that keeps streams within their limits, in small steps and at leisure."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from gateway.clock import Clock, SystemClock
from gateway.errors import StoreUnavailable
from gateway.pipeline.notices import notice
from gateway.store import StreamSpec, StreamStore, time_to_loss

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RetentionOptions:
    """How often the oldest batches are looked at, and the pause between two steps.

    Groups of streams that alert are warned `alert_ahead_ms` before their first loss; they are
    looked at every so many intervals.
    """

    interval_ms: int = 10_000
    pause_ms: int = 20
    alert_ahead_ms: int = 900_000
    looks_between_alerts: int = 6


class Retention:
    """Removes what exceeds a stream's limits of age, size and count."""

    def __init__(
        self,
        store: StreamStore,
        options: RetentionOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._store = store
        self._options = options or RetentionOptions()
        self._clock = clock or SystemClock()
        self._warned: set[tuple[str, str]] = set()
        self._looks = 0
        self.removed_batches = 0

    async def run(self) -> None:
        """Work until cancelled; a disk that refuses is tried again at the next interval."""
        while True:
            await asyncio.sleep(self._options.interval_ms / 1_000)
            try:
                if self._looks % self._options.looks_between_alerts == 0:
                    await self.warn()
                self._looks += 1
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

    async def warn(self) -> None:
        """Raise an alert for each group that is about to lose records of a stream that alerts.

        Raises:
            StoreUnavailable: the disk refused.
        """
        specs = [spec for spec in await self._store.streams() if spec.behind == "alert"]
        if not specs:
            return
        groups = await self._store.groups()
        for spec in specs:
            for group in groups:
                offsets = {
                    partition: offset
                    for (stream, partition), offset in group.offsets.items()
                    if stream == spec.name
                }
                await self._warn_group(spec, group.name, offsets)

    async def _warn_group(self, spec: StreamSpec, group: str, offsets: dict[int, int]) -> None:
        now_ms = self._clock.now_ms()
        found = await time_to_loss(self._store, spec, offsets, now_ms)
        left_ms = min((left for left in found.values() if left is not None), default=None)
        place = (group, spec.name)
        if left_ms is None or left_ms > self._options.alert_ahead_ms:
            self._warned.discard(place)
        elif place not in self._warned:
            self._warned.add(place)
            message = (
                f"group '{group}' loses records of '{spec.name}' in {left_ms // 1000} s unless it "
                "reads faster"
            )
            LOG.warning("%s", message)
            run = notice("retention", f"{group}/{spec.name}", "major", message, now_ms)
            await self._store.append([run])
