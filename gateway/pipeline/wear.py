"""The loop that watches what is written to the flash, and spreads a day's budget over the day."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.pipeline.notices import notice
from gateway.store import (
    WEAR_KEY,
    WEAR_TABLE,
    Put,
    StreamStore,
    WearForecast,
    WearOptions,
    WearTotals,
    WriteBudget,
    device_written_bytes,
    encode_wear,
    forecast_wear,
    own_written_bytes,
    read_wear,
)

LOG = logging.getLogger(__name__)
LOOK_MS = 10_000
SAVE_MS = 600_000
MIB = 1 << 20


def rounded(figure: float | None, places: int = 3) -> float | None:
    """A figure with no more places than it is good for."""
    return None if figure is None else round(figure, places or None)


@dataclass(frozen=True, slots=True)
class WearCounters:
    """Where the bytes written come from; tests put their own in."""

    process: Callable[[], int | None] = own_written_bytes
    device: Callable[[Path], int | None] = device_written_bytes


class WearWatch:
    """Keeps the totals of wear, over all runs of the data directory, and the daily budget."""

    def __init__(
        self,
        store: StreamStore,
        clock: Clock,
        directory: Path,
        options: WearOptions,
        counters: WearCounters | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._directory = directory
        self._options = options
        self._counters = counters or WearCounters()
        self._earlier = WearTotals()
        self._began = self._read()
        self._saved_ms = clock.monotonic_ms()
        self._budget: WriteBudget | None = None
        self._has_warned = False
        self.totals = WearTotals()

    @property
    def forecast(self) -> WearForecast | None:
        """How long the card lasts; None while nobody said what it endures, or nothing is known."""
        endurance_bytes = self._options.card_endurance_bytes
        return None if endurance_bytes is None else forecast_wear(self.totals, endurance_bytes)

    def figures(self) -> Mapping[str, float]:
        """The totals by name; what is not known is left out."""
        totals, forecast = self.totals, self.forecast
        found: dict[str, float | None] = {
            "wear/written/bytes": totals.written_bytes,
            "wear/accepted/bytes": totals.accepted_bytes,
            "wear/device/bytes": totals.device_bytes or None,
            "wear/ratio": rounded(totals.write_ratio),
            "wear/bytes_per_day": rounded(totals.bytes_per_day, 0),
            "wear/days_left": None if forecast is None else rounded(forecast.days_left, 1),
            "wear/used_ratio": None if forecast is None else rounded(forecast.used_ratio, 6),
            "wear/budget/spent_bytes": None if self._budget is None else self._budget.spent_bytes,
            "wear/stretch": None if self._budget is None else self._budget.stretch,
        }
        return {name: figure for name, figure in found.items() if figure is not None}

    async def run(self) -> None:
        """Watch until cancelled."""
        await self.start()
        while True:
            await asyncio.sleep(LOOK_MS / 1000)
            try:
                await self.look()
            except StoreUnavailable as error:
                LOG.warning("the wear of the flash can't be written down: %s", error)

    async def start(self) -> None:
        """Go on from what earlier runs wrote down."""
        try:
            self._earlier = await read_wear(self._store)
        except StoreUnavailable as error:
            LOG.warning("the wear so far can't be read: %s", error)
        if self._options.write_budget_bytes is not None:
            self._budget = WriteBudget(
                self._options.write_budget_bytes,
                self._began.written_bytes,
                self._clock.monotonic_ms(),
            )

    async def look(self) -> None:
        """Bring the totals up to date, pace the commits, and now and then write the totals down.

        Raises:
            StoreUnavailable: the disk refused.
        """
        now = self._read()
        began = self._began
        own = WearTotals(
            self._clock.now_ms(),
            now.running_ms - began.running_ms,
            now.accepted_events,
            now.accepted_bytes,
            now.written_bytes - began.written_bytes,
            now.device_bytes - began.device_bytes,
        )
        self.totals = self._earlier.plus(own)
        await self._spend(now.written_bytes)
        if now.running_ms - self._saved_ms >= SAVE_MS:
            self._saved_ms = now.running_ms
            await self.save()

    async def save(self) -> None:
        """Write the totals down.

        Raises:
            StoreUnavailable: the disk refused.
        """
        await self._store.append([], [Put(WEAR_TABLE, WEAR_KEY, encode_wear(self.totals))])

    async def _spend(self, written_bytes: int) -> None:
        if self._budget is None:
            return
        self._store.widen(self._budget.look(written_bytes, self._clock.monotonic_ms()))
        if not self._budget.is_exceeded:
            self._has_warned = False
        elif not self._has_warned:
            self._has_warned = True
            message = (
                f"{self._budget.spent_bytes // MIB} MiB were written in this day of running; the "
                "budget is used up, commits wait longer"
            )
            LOG.warning("%s", message)
            now_ms = self._clock.now_ms()
            await self._store.append([notice("write-budget", "store", "warning", message, now_ms)])

    def _read(self) -> WearTotals:
        appended = self._store.appended
        return replace(
            WearTotals(),
            running_ms=self._clock.monotonic_ms(),
            accepted_events=appended.records,
            accepted_bytes=appended.payload_bytes,
            written_bytes=self._counters.process() or 0,
            device_bytes=self._counters.device(self._directory) or 0,
        )
