"""Where the rules run: in a process of their own when there is a core for it."""

from __future__ import annotations

import os
from collections.abc import Iterable

from gateway.clock import Clock
from gateway.pipeline.workers.inline_rules import InlineRules
from gateway.pipeline.workers.job import RulesJob
from gateway.pipeline.workers.rules_worker import RulesWorker
from gateway.store import StreamSpec

RulesAtWork = RulesWorker | InlineRules


def core_count() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not every system can say
        return os.cpu_count() or 1


def rules_at_work(
    job: RulesJob, clock: Clock, place: str, read: Iterable[StreamSpec] = ()
) -> RulesAtWork:
    """The rules in their `place` (`auto`, `process` or `inline`), that look at the streams `read`.

    Another process sees what is kept in memory alone only when it is written, so with such a stream
    `auto` is inline.
    """
    if place == "auto":
        is_all_on_disk = all(spec.durability != "memory" for spec in read)
        place = "process" if core_count() > 1 and is_all_on_disk else "inline"
    return RulesWorker(job, clock) if place == "process" else InlineRules(job, clock)
