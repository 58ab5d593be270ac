"""The loop that reads the whole log anew, at leisure, to find damage before it is needed.

Flash forgets. A pass is spread over days, in small steps, and none is taken while records wait or
arrive in numbers; how far it has come outlives a restart.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import orjson

from gateway.clock import Clock
from gateway.errors import StoreDamaged, StoreError
from gateway.pipeline.notices import Severity, notice
from gateway.store import DAY_MS, SCRUB_KEY, SCRUB_TABLE, Put, Scrubbed, StreamStore

LOG = logging.getLogger(__name__)
STEP_BYTES = 512 << 10
PAUSE_MS_MIN, PAUSE_MS_MAX = 50, 600_000
FIRST_PAUSE_MS = 60_000
BUSY_PAUSE_MS = 1_000
BUSY_RECORDS_A_SECOND = 1_000
SAVE_MS = 600_000
NOTICE = "store-damaged"


@dataclass(frozen=True, slots=True)
class ScrubOptions:
    """How long one pass over the whole log takes."""

    pass_ms: int = 7 * DAY_MS


class Scrub:
    """Reads on behind `position`, and says what it finds."""

    def __init__(self, store: StreamStore, clock: Clock, options: ScrubOptions) -> None:
        self._store = store
        self._clock = clock
        self._file_bytes: int | None = None
        self._options = options
        self._seen_records = 0
        self._looked_ms = clock.monotonic_ms()
        self._saved_ms = clock.monotonic_ms()
        self.position = 0
        self.passes = 0
        self.damaged = 0

    async def run(self) -> None:
        """Work until cancelled."""
        await self.start()
        pause_ms = self.pause_ms()
        while True:
            await asyncio.sleep(pause_ms / 1000)
            if self.is_busy():
                pause_ms = BUSY_PAUSE_MS
                continue
            await self.step()
            pause_ms = self.pause_ms()

    async def start(self) -> None:
        """Go on where an earlier run stopped."""
        try:
            encoded = await self._store.entry(SCRUB_TABLE, SCRUB_KEY)
            if encoded is not None:
                found = orjson.loads(encoded)
                self.position, self.passes = int(found["position"]), int(found["passes"])
        except (StoreError, ValueError, KeyError, TypeError) as error:
            LOG.warning("scrubbing begins anew, its place can't be read: %s", error)

    def pause_ms(self) -> int:
        """How long to wait before a step, so that a pass takes as long as it may."""
        if self._file_bytes is None:
            return FIRST_PAUSE_MS
        steps = 1 + self._file_bytes // STEP_BYTES
        pause_ms = self._options.pass_ms // steps
        return min(max(pause_ms, PAUSE_MS_MIN), PAUSE_MS_MAX)

    def is_busy(self) -> bool:
        """Whether records wait for their commit, or many have arrived since the last look."""
        now_ms = self._clock.monotonic_ms()
        elapsed_ms = max(now_ms - self._looked_ms, 1)
        records = self._store.appended.records
        arrived, self._seen_records = records - self._seen_records, records
        self._looked_ms = now_ms
        rate = arrived * 1000 / elapsed_ms
        return self._store.queued_bytes > 0 or rate > BUSY_RECORDS_A_SECOND

    async def step(self) -> None:
        """Read a little; what is found is told in the log, as an alert, and counted."""
        try:
            found = await self._store.scrub_step(self.position)
        except StoreDamaged as damage:
            # The store mends itself; everything is read anew then.
            self.position = 0
            await self._tell("file", "critical", str(damage))
            return
        except StoreError as error:
            LOG.warning("the log can't be scrubbed: %s", error)
            return
        self._file_bytes = found.file_bytes
        if found.damaged:
            await self._report(found)
        self.position = found.position
        self.passes += found.position == 0
        if found.position == 0 or self._clock.monotonic_ms() - self._saved_ms >= SAVE_MS:
            await self._save()

    async def _report(self, found: Scrubbed) -> None:
        self.damaged += len(found.damaged)
        places = ", ".join(map(str, found.damaged[:5]))
        message = f"{len(found.damaged)} damaged batches, readers step over them: {places}"
        await self._tell(str(found.damaged[0].batch_id), "major", message)

    async def _tell(self, key: str, severity: Severity, message: str) -> None:
        LOG.error("%s", message)
        run = notice(NOTICE, key, severity, message, self._clock.now_ms())
        try:
            await self._store.append([run])
        except StoreError as error:
            LOG.warning("an alert can't be stored: %s", error)

    async def _save(self) -> None:
        self._saved_ms = self._clock.monotonic_ms()
        progress = {"position": self.position, "passes": self.passes}
        try:
            await self._store.append([], [Put(SCRUB_TABLE, SCRUB_KEY, orjson.dumps(progress))])
        except StoreError as error:
            LOG.warning("the place of scrubbing can't be written down: %s", error)
