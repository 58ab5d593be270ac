"""The rules in a worker process: started, served, started again when it dies, stopped.

Theory of operation. One worker evaluates all rules, in the one order that the log has. It is
started and loads the rules before the log is opened, so wrong rules are refused first. Then a
`StoreHost` serves it: it reads the log itself and hands its commits to the one writer. When it
dies, everything that came from it is settled before the next one begins where its last commit
ended; the next one joins anew, and so takes the right to commit. Pauses between starts grow.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from gateway.clock import Clock
from gateway.errors import Complaint, DocumentInvalid
from gateway.pipeline.progress import RULES_GROUP, Key, Progress
from gateway.pipeline.puts import PutsOf
from gateway.pipeline.workers.child import Child, WorkerFailed, ending_of
from gateway.pipeline.workers.job import Outline, RulesJob, encode_job
from gateway.store import StoreHost, StreamStore, read_told, tell

logger = logging.getLogger(__name__)

MODULE = "gateway.pipeline.workers.rules_process"
OPEN_S_MAX = 120.0
STOP_S_MAX = 10.0
PAUSE_S_MIN = 0.1
PAUSE_S_MAX = 30.0
LASTING_MS = 60_000
"""A worker that has lived for so long is started again without a pause."""


class RulesWorker:
    """The rules of one gateway, in a process beside it."""

    def __init__(self, job: RulesJob, clock: Clock) -> None:
        self._job = job
        self._clock = clock
        self._child: Child | None = None
        self._host: StoreHost | None = None
        self._progress = Progress()
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._stopped.set()
        self.restarts = 0
        """How often a worker had to be started again."""

    @property
    def pid(self) -> int:
        """The process that the rules run in; 0 while there is none."""
        return 0 if self._child is None else self._child.pid

    async def open(self) -> Outline:
        """Start a worker and have it load the rules; `run` lets it begin.

        Raises:
            DocumentInvalid: rules or profiles are wrong; every error is listed.
            WorkerFailed: no worker can be started.
        """
        child = self._child = await Child.start(MODULE)
        level = logging.getLogger().getEffectiveLevel()
        tell(child.writer, "job", encode_job(self._job), level)
        try:
            async with asyncio.timeout(OPEN_S_MAX):
                return await self._hear_verdict(child)
        except TimeoutError:
            raise WorkerFailed(f"the rules did not load within {OPEN_S_MAX:.0f} s") from None

    async def run(self, store: StreamStore, puts_of: PutsOf) -> None:
        """Have the rules evaluated until `stop`, by one worker after the other."""
        self._stopped.clear()
        try:
            await self._progress.begin(store, RULES_GROUP)
            pause_s = 0.0
            while not self._stopping.is_set():
                began_ms = self._clock.monotonic_ms()
                await self._run_one(store, puts_of)
                if self._stopping.is_set():
                    return
                has_lasted = self._clock.monotonic_ms() - began_ms >= LASTING_MS
                pause_s = PAUSE_S_MIN if has_lasted else min(PAUSE_S_MAX, 2 * pause_s + PAUSE_S_MIN)
                await self._pause(pause_s)
                self.restarts += 1
        finally:
            await self.kill()
            self._stopped.set()

    def touch(self) -> None:
        """Have the rule files read again."""
        if self._host is not None:
            self._host.tell("touch")

    def lag(self, ends: Mapping[Key, int]) -> int:
        """How many records the rules have still to look at."""
        return self._progress.lag(ends)

    async def stop(self) -> None:
        """Let the rules save their state and end; insist if they take too long."""
        self._stopping.set()
        if self._host is not None:
            self._host.tell("stop")
        try:
            async with asyncio.timeout(STOP_S_MAX):
                await self._stopped.wait()
        except TimeoutError:
            logger.warning("the rules took too long to stop; they go on from their last commit")
        await self.kill()
        await self._stopped.wait()

    async def kill(self) -> None:
        """End the worker at once, if there is one."""
        child, self._child = self._child, None
        if child is not None:
            await child.kill()

    async def _run_one(self, store: StreamStore, puts_of: PutsOf) -> None:
        """Serve one worker until it ends, and say how it did."""
        try:
            if self._child is None:
                await self.open()
        except (DocumentInvalid, WorkerFailed) as error:
            tell_trouble(error)
            await self.kill()
            return
        child = self._child
        assert child is not None  # noqa: S101 - `open` has made one
        host = self._host = StoreHost(store, child.writer, puts_of, self._told())
        host.tell("begin")
        if self._stopping.is_set():
            host.tell("stop")
        try:
            await host.serve(child.reader)
        finally:
            self._host = None
        exit_code = await child.end()
        self._child = None
        if not self._stopping.is_set():
            logger.error("the process of the rules is gone: %s", ending_of(exit_code))

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _told(self) -> dict[str, Any]:
        return {"log": write_log, "progress": self._note_progress, "kept": self._keep}

    async def _hear_verdict(self, child: Child) -> Outline:
        told = self._told()
        while True:
            try:
                name, arguments = await read_told(child.reader)
            except (asyncio.IncompleteReadError, OSError) as error:
                ending = ending_of(await child.end())
                raise WorkerFailed(f"the process of the rules is gone: {ending}") from error
            if name == "opened":
                return msgspec.convert(arguments[0], Outline)
            if name == "refused":
                raise DocumentInvalid([Complaint(*one) for one in arguments[0]])
            told[name](*arguments)

    def _keep(self, texts: dict[str, str]) -> None:
        """Have the next worker find the rules that are right now, should the files be wrong."""
        if texts:
            self._job = replace(self._job, kept_rules=texts)

    def _note_progress(self, rows: list[Any]) -> None:
        self._progress.move_to({(stream, number): offset for stream, number, offset in rows})


def tell_trouble(error: DocumentInvalid | WorkerFailed) -> None:
    """Say why there is no worker."""
    if not isinstance(error, DocumentInvalid):
        logger.error("%s", error)
        return
    for complaint in error.complaints:
        logger.error("%s", complaint)
    logger.error("no rules are evaluated until their files are right")


def write_log(name: str, level: int, message: str, arguments: list[Any], trace: str) -> None:
    """Write a line of a worker's log among our own, with the traceback that belongs to it."""
    own = logging.getLogger(name)
    if own.isEnabledFor(level):
        record = own.makeRecord(name, level, MODULE, 0, message, tuple(arguments), None)
        record.exc_text = trace or None
        own.handle(record)
