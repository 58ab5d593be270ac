"""Rule files that change while the rules run: checked, and swapped in only as a whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from gateway.errors import DocumentInvalid
from gateway.pipeline.evaluate import RuleEvaluation
from gateway.rules import RULES_INVALID, RuleSet, rule_paths

LOG = logging.getLogger(__name__)
Stamp = tuple[tuple[str, int, int], ...]


class RuleFiles:
    """The files of the rules at work."""

    def __init__(
        self,
        path: Path,
        load: Callable[[], RuleSet],
        evaluation: RuleEvaluation,
        interval_ms: int,
    ) -> None:
        """Watch `path`, a file or a folder; with an interval of 0 only `touch` has it read."""
        self._path = path
        self._load = load
        self._evaluation = evaluation
        self._interval_s = interval_ms / 1_000 if interval_ms else None
        self._touched = asyncio.Event()
        self._stamp = stamp_of(path)
        self.on_right: Callable[[], None] | None = None
        """Called when the files were read anew, and all of them are right."""

    def touch(self) -> None:
        """Have the files read again, whether or not they have changed."""
        self._touched.set()

    async def run(self) -> None:
        """Look at the files from time to time, until cancelled."""
        while True:
            try:
                await asyncio.wait_for(self._touched.wait(), self._interval_s)
            except TimeoutError:
                await self.look()
                continue
            self._touched.clear()
            await self.reload()

    async def look(self) -> None:
        """Read the files again if they have changed."""
        stamp = await asyncio.to_thread(stamp_of, self._path)
        if stamp != self._stamp:
            await self.reload()

    async def reload(self) -> None:
        """Read the files; rules that are right are swapped in, what is wrong is told."""
        self._stamp = await asyncio.to_thread(stamp_of, self._path)
        try:
            rules = await asyncio.to_thread(self._load)
        except DocumentInvalid as error:
            await self.refuse(error)
            return
        if self.on_right is not None:
            self.on_right()
        before = self._evaluation.rules
        if rules.digest == before.digest and rules.lookups == before.lookups:
            await self._evaluation.mend(RULES_INVALID)
            return
        await self._evaluation.swap(rules)
        LOG.info("rules reloaded: %s", describe_change(before, rules))

    async def refuse(self, error: DocumentInvalid) -> None:
        """Tell what is wrong with the files, in the log of the process and as an alarm."""
        for complaint in error.complaints:
            LOG.error("%s", complaint)
        LOG.error("the rules stay as they were")
        first, more = error.complaints[0], len(error.complaints) - 1
        message = f"{first}" + (f", and {more} more" if more else "")
        await self._evaluation.report(RULES_INVALID, message)


def describe_change(before: RuleSet, after: RuleSet) -> str:
    """What has changed from one set to the other, for people."""
    old = {one.id: one.source_hash for one in before.rules if one.enabled}
    new = {one.id: one.source_hash for one in after.rules if one.enabled}
    kept = [one for one in new if old.get(one) == new[one]]
    parts = [f"{len(kept)} as before"]
    for what, names in (
        ("new", [one for one in new if one not in old]),
        (
            "changed, their windows begin anew",
            [one for one in new if old.get(one, new[one]) != new[one]],
        ),
        ("gone, their alarms are cleared", [one for one in old if one not in new]),
    ):
        if names:
            parts.append(f"{what}: {', '.join(names)}")
    return "; ".join(parts)


def stamp_of(path: Path) -> Stamp:
    """What changes when a rule file is written, added or removed."""
    found = []
    for one in rule_paths([path]):
        try:
            status = one.stat()
        except OSError:
            continue
        found.append((str(one), status.st_mtime_ns, status.st_size))
    return tuple(found)
