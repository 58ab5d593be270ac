from __future__ import annotations

import asyncio
from dataclasses import replace

from gateway.clock import ManualClock
from gateway.pipeline import no_puts
from gateway.pipeline.workers.inline_rules import InlineRules
from tests.gateway.pipeline.workers.conftest import event, told
from tests.harness.waiting import until

PUMP = 'version: 1\nprofile: pump\ntopics: ["plant/{device}"]\nfields: {x: {scale: %s}}\n'


async def test_rules_read_by_the_profiles_as_they_are_by_now(job, store, tmp_path):
    folder = tmp_path / "devices"
    folder.mkdir()
    (folder / "pump.yaml").write_text(PUMP % 1)
    rules = InlineRules(replace(job, profiles_path=str(folder)), ManualClock(1_000))
    await rules.open()
    running = asyncio.create_task(rules.run(store, no_puts))
    await store.append([event(3)])
    await until(lambda: rules.evaluation is not None and seen(rules) == 1, "the first event")
    assert await told(store) == []
    (folder / "pump.yaml").write_text(PUMP % 10)
    book = rules._files._files[1]._book
    rules.touch()
    await until(lambda: book.named("pump").fields[0].scale == 10, "the reload")
    await store.append([event(3)])

    async def raised():
        return await told(store) == [("m0", "raised")]

    await until(raised, "the alarm")
    await rules.stop()
    await running


def seen(rules):
    return rules.evaluation._offsets.get(("telemetry", 0), 0)
