"""The files of a job while its rules run: the rules themselves, and the profiles they read by."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from gateway.devices import ProfileBook
from gateway.pipeline.evaluate import RuleEvaluation
from gateway.pipeline.profile_files import ProfileFiles
from gateway.pipeline.rule_files import RuleFiles
from gateway.pipeline.workers.building import load_job_profiles, load_job_rules
from gateway.pipeline.workers.job import RulesJob


class JobFiles:
    """Reads both again when they change, or on `touch`."""

    def __init__(self, job: RulesJob, evaluation: RuleEvaluation, profiles: ProfileBook) -> None:
        path, interval_ms = Path(job.rules_path), job.reload_ms
        self.rules = RuleFiles(path, partial(load_job_rules, job), evaluation, interval_ms)
        self._files: list[RuleFiles | ProfileFiles] = [self.rules]
        if job.profiles_path is not None:
            profiles.watch(evaluation.forget_topics)
            load = partial(load_job_profiles, job)
            folder = Path(job.profiles_path)
            self._files.append(ProfileFiles(folder, load, profiles, interval_ms))

    async def run(self) -> None:
        """Look at the files from time to time, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for files in self._files:
                group.create_task(files.run())

    def touch(self) -> None:
        """Have the files read again, whether or not they have changed."""
        for files in self._files:
            files.touch()
