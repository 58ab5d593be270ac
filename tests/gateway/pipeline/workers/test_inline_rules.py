from __future__ import annotations

import asyncio

from gateway.clock import ManualClock
from gateway.pipeline import no_puts
from gateway.pipeline.workers.inline_rules import InlineRules
from tests.gateway.pipeline.workers.conftest import event, told
from tests.harness.waiting import until


async def test_rules_run_on_the_gateway_s_own_loop(job, store, rules_path):
    rules = InlineRules(job, ManualClock(1_000))
    rules.touch()
    await rules.stop()
    assert rules.lag({("telemetry", 0): 1}) == 0
    assert (await rules.open()).emitted_streams == ("sums",)
    running = asyncio.create_task(rules.run(store, no_puts))
    await store.append([event(6)])

    async def raised():
        return await told(store) == [("m0", "raised")]

    await until(raised, "the alarm")
    assert rules.lag({("telemetry", 0): 3}) == 2
    rules_path.write_text(rules_path.read_text().replace("> 5", "> 50"))
    rules.touch()
    await until(lambda: "50" in rules.evaluation.rules.rules[0].condition.when.text, "the reload")
    await rules.stop()
    await running
    assert (rules.pid, rules.restarts) == (0, 0)
