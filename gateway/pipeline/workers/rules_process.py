"""The process that the rules run in, beside the gateway that has started it.

It is started as `python -m gateway.pipeline.workers.rules_process DESCRIPTOR`, with a socket under
that number. First it loads the rules and says what they are; when it is told that the log is open,
it evaluates until it is told to stop. It ends when the gateway does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from gateway.clock import SystemClock
from gateway.devices import ProfileBook
from gateway.errors import DocumentInvalid
from gateway.pipeline.evaluate import RuleEvaluation
from gateway.pipeline.workers.building import (
    build_evaluation,
    load_job_profiles,
    load_job_rules,
    load_kept_rules,
    outline_of,
    texts_of,
)
from gateway.pipeline.workers.job import RulesJob, decode_job
from gateway.pipeline.workers.job_files import JobFiles
from gateway.rules import RuleSet
from gateway.store import Link, open_linked

NICENESS = 10
"""Acknowledgements go before alarms where both want the same core."""

REPORT_S = 0.25
PLAIN = (str, int, float)
TRACES = logging.Formatter()
FAILED_EXIT_CODE = 1

logger = logging.getLogger(__name__)


class LinkLog(logging.Handler):
    """Hands log lines to the gateway, which writes them among its own."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        message, arguments = str(record.msg), record.args or ()
        if isinstance(arguments, Mapping):
            message, arguments = record.getMessage().replace("%", "%%"), ()
        rows = [one if isinstance(one, PLAIN) else str(one) for one in arguments]
        trace = "" if record.exc_info is None else TRACES.formatException(record.exc_info)
        self._link.tell("log", record.name, record.levelno, message, rows, trace)


class Reports:
    """Tells the gateway how far the rules have come, now and then."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._is_due = False

    def note(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Tell these positions soon, as they are by then."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(REPORT_S, self._tell, positions)

    def _tell(self, positions: Mapping[tuple[str, int], int]) -> None:
        self._is_due = False
        self._link.tell("progress", [(*key, offset) for key, offset in positions.items()])


class RulesProcess:
    """The rules at work at this end of a link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._job: asyncio.Future[RulesJob] = asyncio.get_running_loop().create_future()
        self._begun = asyncio.Event()
        self._stopping = asyncio.Event()
        self._files: JobFiles | None = None
        self._wrong: DocumentInvalid | None = None
        link.told |= {
            "job": self._take_job,
            "begin": self._begun.set,
            "stop": self._stopping.set,
            "touch": self._touch,
        }

    async def run(self) -> None:
        """Load the rules, then evaluate until told to stop, or until the gateway is gone."""
        job = await self._job
        try:
            profiles = load_job_profiles(job)
            rules = self._load(job)
        except DocumentInvalid as error:
            self._link.tell("refused", error.complaints)
            return
        self._link.tell("opened", outline_of(rules))
        await self._begun.wait()
        await self._evaluate(job, rules, profiles)

    def _load(self, job: RulesJob) -> RuleSet:
        """The rules as they are, or as they were when they were right last."""
        try:
            rules = load_job_rules(job)
        except DocumentInvalid as error:
            if not job.kept_rules:
                raise
            rules = load_kept_rules(job)
            self._wrong = error
        else:
            self._link.tell("kept", texts_of(job))
        return rules

    async def _evaluate(self, job: RulesJob, rules: RuleSet, profiles: ProfileBook) -> None:
        store = await open_linked(Path(job.data_dir), self._link)
        clock = SystemClock()
        try:
            evaluation = build_evaluation(job, rules, profiles, store, clock)
            evaluation.progress.on_move = Reports(self._link).note
            files = self._files = JobFiles(job, evaluation, profiles)
            files.rules.on_right = lambda: self._link.tell("kept", texts_of(job))
            if self._wrong is not None:
                await files.rules.refuse(self._wrong)
            await run_until(self._stopping, evaluation, files)
        finally:
            await store.close()

    def _take_job(self, encoded: bytes, level: int) -> None:
        logging.getLogger().setLevel(level)
        self._job.set_result(decode_job(encoded))

    def _touch(self) -> None:
        if self._files is not None:
            self._files.touch()


async def run_until(stopping: asyncio.Event, evaluation: RuleEvaluation, files: JobFiles) -> None:
    """Evaluate and watch the files; save the state when it is time to stop."""
    tasks = [asyncio.create_task(one) for one in (evaluation.run(), files.run(), stopping.wait())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        await evaluation.stop()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def run(connection: socket.socket) -> int:
    """Serve the gateway at the other end of a socket; returns the exit code."""
    link = Link(*await asyncio.open_unix_connection(sock=connection))
    handler = LinkLog(link)
    logging.getLogger().addHandler(handler)
    working = asyncio.create_task(RulesProcess(link).run(), name="rules")
    try:
        await asyncio.wait([working, link.ended], return_when=asyncio.FIRST_COMPLETED)
        error = working.exception() if working.done() else None
        if error is not None:
            logger.error("the rules have failed: %s", error, exc_info=error)
        return 0 if error is None else FAILED_EXIT_CODE
    finally:
        # Without the gateway, nothing that is not in the log is worth anything.
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        logging.getLogger().removeHandler(handler)
        await link.close()


def main(descriptor: int) -> None:
    """Run the rules of the gateway at the other end of the socket until it is gone."""
    # Ctrl-C reaches the gateway, which lets the rules save their state.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What is printed here must not mix with what the gateway prints for programs.
    os.dup2(2, 1)
    os.nice(NICENESS)
    sys.exit(asyncio.run(run(socket.socket(fileno=descriptor))))


if __name__ == "__main__":
    main(int(sys.argv[1]))
