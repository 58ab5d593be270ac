"""The worker processes of one handler: as many as are at work at once, kept, replaced, reloaded."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.functions import FunctionSpec
from gateway.pipeline.handlers.workers import Answer, FunctionFailed, Worker


class Pool:
    """Workers of one function; each is started when it is first needed."""

    def __init__(self, spec: FunctionSpec) -> None:
        self.version = ""
        self.started_count = 0
        self._spec = spec
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._stale: set[Worker] = set()
        self._slots = asyncio.Semaphore(spec.concurrency)

    async def renew(self) -> None:
        """Load the function anew; who is at work finishes with the old one first.

        Raises:
            FunctionBroken: it can't be loaded; the old one, if any, stays.
        """
        worker = await self._start()
        retired, self._idle = self._idle, [worker]
        self._stale |= self._busy
        self.version = worker.version
        for own in retired:
            await own.kill()

    async def call(self, content: dict[str, Any]) -> Answer:
        """Wait for a worker, and have it work on one event.

        Raises:
            FunctionBroken: no worker could be started.
            FunctionFailed: as `Worker.call` says.
        """
        async with self._slots:
            worker = await self._take()
            self._busy.add(worker)
            is_whole = False
            try:
                answer = await worker.call(content)
                is_whole = True
            except FunctionFailed:
                is_whole = not worker.has_ended
                raise
            finally:
                self._busy.discard(worker)
                if is_whole and worker not in self._stale:
                    self._idle.append(worker)
                else:
                    self._stale.discard(worker)
                    await worker.kill()
            return answer

    async def close(self) -> None:
        """End every worker."""
        for worker in [*self._idle, *self._busy]:
            await worker.kill()
        self._idle.clear()

    async def _take(self) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if not worker.has_ended:
                return worker
        worker = await self._start()
        self.version = worker.version
        return worker

    async def _start(self) -> Worker:
        worker = await Worker.start(self._spec)
        self.started_count += 1
        return worker
