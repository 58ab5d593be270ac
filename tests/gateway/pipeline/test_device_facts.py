from __future__ import annotations

import asyncio
import json
import random

import pytest

from gateway.clock import ManualClock
from gateway.events import Origin, Run
from gateway.pipeline.device_facts import facts_at
from gateway.pipeline.devices.twins import TwinService
from gateway.pipeline.evaluate import RuleEvaluation
from gateway.pipeline.evaluation_options import EvaluationOptions
from gateway.rules import Fact, parse_rules
from gateway.store import StreamSpec
from tests.harness.device_services import Bench
from tests.harness.waiting import until

HOT = """
version: 1
rules:
  - id: hot
    from: plant/#
    when: payload.x > twin.desired.limit
    alarm: {message: "{tags.site}"}
"""
OPTIONS = EvaluationOptions(checkpoint_age_ms_max=5, retry_ms=1, tick_interval_ms=0)


@pytest.fixture
async def bench():
    bench = await Bench().open()
    for name in ("telemetry", "alerts", "ticks"):
        await bench.store.ensure(StreamSpec(name, partitions=1))
    return bench


async def change(bench, loop, service, device, what, value):
    async def act(turn):
        if what == "tags":
            await service.take_tags(device, value, "x", turn)
        elif what == "removed":
            await service.remove(device, "x", turn)
        elif what == "desired":
            await service.wish(device, value, "x", turn)
        else:
            await service.report(device, value, "x", turn)

    await loop.ask(act)


def shown(facts):
    return {(fact.device, fact.part): fact.value for fact in facts if fact.value}


async def test_what_held_at_an_offset_is_what_a_replay_up_to_there_makes(bench):
    chance, service = random.Random(5), TwinService(bench.around.is_heard)
    expected = {}
    async with bench.at_work(service) as loop:
        for number in range(60):
            _, offset = await bench.store.bounds("twins", 0)
            expected[offset] = shown(await facts_at(bench.store, offset))
            device, part = chance.choice("ab"), chance.choice(["desired", "reported", "tags"])
            part = "removed" if chance.random() < 0.1 else part
            value = {chance.choice("xy"): str(number)}
            await change(bench, loop, service, device, part, value)
    for offset, facts in expected.items():
        assert shown(await facts_at(bench.store, offset)) == facts
    assert any(len(facts) > 3 for facts in expected.values())


async def test_what_retention_has_removed_is_as_the_tables_say(bench):
    service = TwinService(bench.around.is_heard)
    async with bench.at_work(service) as loop:
        await change(bench, loop, service, "a", "desired", {"limit": 5})
        await change(bench, loop, service, "b", "desired", {"limit": 6})
    _, end = await bench.store.bounds("twins", 0)
    await bench.store.ensure(StreamSpec("twins", partitions=1, retention_count=1))
    while await bench.store.retain_step():
        pass
    assert (await bench.store.bounds("twins", 0)).log_start_offset > 0
    found = await facts_at(bench.store, end)
    assert Fact("a", "desired", {"limit": 5}) in found


def route(topic):
    return "alerts", 0, Origin(topic, topic.split("/")[1])


def event(x):
    payload = json.dumps({"x": x}).encode()
    return Run("telemetry", 0, "c", 1_000, [Origin("plant/m1", "m1")], [payload], b"\x00")


async def run_rules(bench, count):
    rules = RuleEvaluation(
        bench.store,
        parse_rules(HOT),
        ["telemetry", "twins"],
        route,
        ManualClock(1_000),
        OPTIONS,
    )
    task = asyncio.create_task(rules.run())

    async def has_spoken():
        return len(await bench.records("alerts")) >= count

    await until(has_spoken, "the alerts")
    await rules.stop()
    await task
    return [json.loads(record.payload) for record in await bench.records("alerts")]


async def test_rules_that_begin_later_know_what_held_before_and_remember_it(bench):
    service = TwinService(bench.around.is_heard)
    async with bench.at_work(service) as loop:
        await change(bench, loop, service, "m1", "desired", {"limit": 5})
        await change(bench, loop, service, "m1", "tags", {"site": "north"})
        member = bench.store.join("rules", ["telemetry", "twins"])
        _, end = await bench.store.bounds("twins", 0)
        await member.commit(offsets={("twins", 0): end})
        await member.close()
        await bench.store.append([event(9)])
        (raised,) = await run_rules(bench, 1)
        assert (raised["event"], raised["message"]) == ("raised", "north")
        await bench.store.append([event(4)])
        await change(bench, loop, service, "m1", "desired", {"limit": 3})
        await bench.store.append([event(4)])
        alerts = await run_rules(bench, 3)
    assert [alert["event"] for alert in alerts] == ["raised", "cleared", "raised"]
