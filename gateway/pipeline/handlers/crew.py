"""All handlers of a gateway: started, stopped, reloaded and reported on together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from gateway.functions import FunctionSpec
from gateway.pipeline.handlers.loop import HandlerLoop, Surroundings

logger = logging.getLogger(__name__)


class HandlerCrew:
    """Every handler that the configuration names; one that fails concerns no other."""

    def __init__(self, specs: Sequence[FunctionSpec], around: Surroundings) -> None:
        self.loops = [HandlerLoop(spec, around) for spec in specs]
        self._tasks: list[asyncio.Task[None]] = []
        self._reloading: asyncio.Task[None] | None = None

    def start(self) -> list[asyncio.Task[None]]:
        """Set every handler to work; the tasks last as long as they do."""
        self._tasks = [asyncio.create_task(loop.run(), name=loop.spec.group) for loop in self.loops]
        return self._tasks

    async def stop(self) -> None:
        """Take nothing new, let what is at work end if it does so soon."""
        stopped = [*self._tasks, *([self._reloading] if self._reloading is not None else [])]
        for task in stopped:
            task.cancel()
        await asyncio.gather(*stopped, return_exceptions=True)
        await asyncio.gather(*(loop.stop() for loop in self.loops))

    def reload(self) -> None:
        """Begin to load every function anew; one that can't be loaded goes on as it is."""
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.create_task(self._reload(), name="handlers reload")

    async def _reload(self) -> None:
        for loop in self.loops:
            if await loop.renew():
                logger.info("handler '%s' is loaded anew: %s", loop.spec.name, loop.version)

    def figures(self) -> dict[str, Callable[[], int]]:
        """What all handlers have done together, by the name of the figure."""
        totals: dict[str, Callable[[HandlerLoop], int]] = {
            "handlers/in_flight": lambda loop: loop.in_flight,
            "handlers/done": lambda loop: loop.tally.done,
            "handlers/failed": lambda loop: loop.tally.failed,
            "handlers/dead_lettered": lambda loop: loop.tally.dead_lettered,
            "handlers/degraded": lambda loop: int(bool(loop.broken)),
        }
        return {name: partial(self._total, figure_of) for name, figure_of in totals.items()}

    def _total(self, figure_of: Callable[[HandlerLoop], int]) -> int:
        return sum(map(figure_of, self.loops))

    async def report(self) -> list[dict[str, Any]]:
        """How each handler stands, in the order of the configuration."""
        return [
            {
                "name": loop.spec.name,
                "state": state_of(loop),
                "version": loop.version,
                "in_flight": loop.in_flight,
                **asdict(loop.tally),
                "error": loop.broken,
            }
            for loop in self.loops
        ]


def state_of(loop: HandlerLoop) -> str:
    """In a word, how a handler stands."""
    if loop.broken:
        return "degraded"
    return "running" if loop.version else "starting"
