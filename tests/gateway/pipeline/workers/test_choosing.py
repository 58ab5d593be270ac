from __future__ import annotations

import os

import pytest

from gateway.clock import ManualClock
from gateway.pipeline.workers import choosing
from gateway.pipeline.workers.choosing import core_count, rules_at_work
from gateway.pipeline.workers.inline_rules import InlineRules
from gateway.pipeline.workers.rules_worker import RulesWorker
from gateway.store import StreamSpec

DISK, MEMORY = StreamSpec("a"), StreamSpec("b", durability="memory")


@pytest.mark.parametrize(
    ("place", "cores", "read", "kind"),
    [
        ("auto", 2, [DISK], RulesWorker),
        ("auto", 1, [DISK], InlineRules),
        ("auto", 2, [DISK, MEMORY], InlineRules),
        ("process", 1, [MEMORY], RulesWorker),
        ("inline", 8, [DISK], InlineRules),
    ],
)
def test_rules_run_in_a_process_when_there_is_a_core_for_it(
    monkeypatch, job, place, cores, read, kind
):
    monkeypatch.setattr(choosing, "core_count", lambda: cores)
    assert type(rules_at_work(job, ManualClock(), place, read)) is kind


def test_cores_are_counted_where_the_system_can_t_say_which_may_be_used(monkeypatch):
    assert core_count() >= 1
    monkeypatch.delattr(os, "sched_getaffinity")
    assert core_count() == os.cpu_count()
