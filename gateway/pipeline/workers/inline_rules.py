"""The rules in the gateway's own process: on one core, and where a second one is unwanted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.clock import Clock
from gateway.pipeline.progress import Key
from gateway.pipeline.puts import PutsOf
from gateway.pipeline.workers.job import Outline, RulesJob
from gateway.store import StreamStore

if TYPE_CHECKING:
    from gateway.pipeline.evaluate import RuleEvaluation
    from gateway.pipeline.workers.job_files import JobFiles
    from gateway.rules import RuleSet


class InlineRules:
    """The rules of one gateway, on its own event loop; what a worker is, without the process."""

    restarts = 0

    def __init__(self, job: RulesJob, clock: Clock) -> None:
        self._job = job
        self._clock = clock
        self._rules: RuleSet | None = None
        self._files: JobFiles | None = None
        self.evaluation: RuleEvaluation | None = None

    @property
    def pid(self) -> int:
        """The process that the rules run in; 0 where it is the gateway's own."""
        return 0

    async def open(self) -> Outline:
        """Load the rules; `run` lets them begin.

        Raises:
            DocumentInvalid: they are wrong; every error is listed.
        """
        from gateway.pipeline.workers.building import load_job_rules, outline_of

        self._rules = load_job_rules(self._job)
        return outline_of(self._rules)

    async def run(self, store: StreamStore, puts_of: PutsOf) -> None:
        """Evaluate until `stop`."""
        from gateway.pipeline.workers.building import build_evaluation, load_job_profiles
        from gateway.pipeline.workers.job_files import JobFiles

        assert self._rules is not None  # noqa: S101 - `open` has loaded them
        job, clock = self._job, self._clock
        profiles = load_job_profiles(job)
        evaluation = build_evaluation(job, self._rules, profiles, store, clock, puts_of)
        files = JobFiles(job, evaluation, profiles)
        self.evaluation, self._files = evaluation, files
        watching = asyncio.create_task(files.run(), name="rule files")
        try:
            await evaluation.run()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    def touch(self) -> None:
        """Have the rule files read again."""
        if self._files is not None:
            self._files.touch()

    def lag(self, ends: Mapping[Key, int]) -> int:
        """How many records the rules have still to look at."""
        return 0 if self.evaluation is None else self.evaluation.progress.lag(ends)

    async def stop(self) -> None:
        """End `run` after the records it has read, its state saved."""
        if self.evaluation is not None:
            await self.evaluation.stop()
