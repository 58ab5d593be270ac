from __future__ import annotations

import asyncio
import json
import os

import pytest

from gateway.clock import ManualClock
from gateway.pipeline.evaluate import RuleEvaluation
from gateway.pipeline.rule_files import RuleFiles, describe_change
from gateway.rules import load_rules, parse_rules
from gateway.store import StreamSpec
from gateway.store.memory import MemoryStore
from tests.gateway.pipeline.test_evaluate import LAZY, alerts, event, reader, records, route
from tests.harness.waiting import until

HEAD = "version: 1\ndefaults: {from: plant/+, key: device}\nrules:\n"
HOT = "  - {id: hot, when: payload.x > 5}\n"
WARM = "  - {id: warm, when: payload.x > 2}\n"
MEAN = """
  - {id: mean, window: {count: 4}, aggregate: {m: avg(payload.x)}, when: m > %d}
"""


class Plant:
    """Rules at work on a log in memory, from a file that can be written anew."""

    def __init__(self, path):
        self.path = path
        self.clock = ManualClock(1_000)
        self.count = 0

    async def open(self, rules):
        self.store = MemoryStore()
        for name, partitions in (("telemetry", 2), ("alerts", 1), ("ticks", 1)):
            await self.store.ensure(StreamSpec(name, partitions=partitions))
        self.write(rules)
        return await self.start()

    async def start(self):
        self.running = RuleEvaluation(
            self.store, load_rules([self.path]), ["telemetry"], route, self.clock, LAZY
        )
        self.task = asyncio.create_task(self.running.run())
        self.files = RuleFiles(self.path, lambda: load_rules([self.path]), self.running, 0)
        return self

    def write(self, rules):
        self.path.write_text(HEAD + rules)
        self.count += 1
        os.utime(self.path, ns=(self.count, self.count))

    async def see(self, *values):
        for x in values:
            await self.store.append([event(x)])
        end = self.store._logs["telemetry", 0].end_offset
        slot = ("telemetry", 0)
        await until(lambda: self.running._offsets.get(slot) == end, "the loop to get there")

    async def stop(self):
        await self.running.stop()
        await self.task

    async def told(self):
        return [(one["rule"], one["event"]) for one in await alerts(self.store)]


@pytest.fixture
def plant(tmp_path):
    return Plant(tmp_path / "rules.yaml")


async def test_unchanged_rules_keep_their_state_and_new_ones_begin(plant):
    await plant.open(MEAN % 5)
    await plant.see(9, 9, 9)
    plant.write(MEAN % 5 + HOT)
    await plant.files.look()
    await plant.see(9)
    await plant.stop()
    assert sorted(await plant.told()) == [("hot", "raised"), ("mean", "raised")]


async def test_a_changed_rule_keeps_its_alarm_and_begins_its_window_anew(plant):
    await plant.open(MEAN % 5)
    await plant.see(9, 9, 9, 9)
    plant.write(MEAN % 4)
    await plant.files.look()
    # The mean of the old window with it would be 6.75.
    await plant.see(0)
    await plant.stop()
    assert await plant.told() == [("mean", "raised"), ("mean", "cleared")]


async def test_the_alarms_of_a_rule_that_is_gone_are_cleared(plant):
    await plant.open(HOT + WARM)
    await plant.see(9)
    plant.write(WARM)
    await plant.files.look()
    await plant.see(9)
    await plant.stop()
    assert await plant.told() == [("hot", "raised"), ("warm", "raised"), ("hot", "cleared")]


async def test_the_swap_is_in_the_log_with_the_digest_and_the_place(plant):
    await plant.open(HOT)
    await plant.see(1, 9)
    plant.write(WARM)
    await plant.files.look()
    await plant.stop()
    (tick,) = [json.loads(one.payload) for one in await records(plant.store, "ticks")]
    assert tick["rules"] == load_rules([plant.path]).digest
    assert ["telemetry", 0, 2] in tick["offsets"]
    assert plant.running.rules.digest == tick["rules"]


async def test_a_bad_file_leaves_everything_running_and_raises_an_alarm_until_it_is_right(plant):
    await plant.open(HOT)
    plant.write("  - {id: hot, wenn: payload.x > 5}\n")
    await plant.files.look()
    (raised,) = await until(reader(plant.store, 1), "the alarm")
    alert = json.loads(raised.payload)
    assert (alert["rule"], alert["event"]) == ("gateway/rules-invalid", "raised")
    assert "rules.yaml:4:5: the rule does nothing" in alert["message"]
    assert alert["message"].endswith(", and 1 more")
    await plant.files.reload()  # the same mistake is told once
    await plant.see(9)
    plant.write(HOT)
    await plant.files.look()
    await until(reader(plant.store, 3), "its end")
    await plant.stop()
    assert await plant.told() == [
        ("gateway/rules-invalid", "raised"),
        ("hot", "raised"),
        ("gateway/rules-invalid", "cleared"),
    ]


async def test_files_that_have_not_changed_are_not_read(plant, monkeypatch):
    await plant.open(HOT)
    monkeypatch.setattr(plant.files, "reload", pytest.fail)
    await plant.files.look()
    await plant.stop()


async def test_a_touch_has_the_files_read_and_the_interval_has_them_looked_at(plant):
    await plant.open(HOT)
    watching = asyncio.create_task(plant.files.run())
    plant.write(WARM)
    plant.files.touch()
    await until(lambda: plant.running.rules.rules[0].id == "warm", "the swap")
    watching.cancel()
    plant.files = RuleFiles(plant.path, lambda: load_rules([plant.path]), plant.running, 1)
    watching = asyncio.create_task(plant.files.run())
    plant.write(HOT)
    await until(lambda: plant.running.rules.rules[0].id == "hot", "the swap")
    watching.cancel()
    await plant.stop()


@pytest.mark.parametrize("turns", [0, 3, 8, 13, 21, 34, 55])
async def test_killed_at_any_moment_of_a_swap_the_alarms_are_those_of_a_swap(plant, turns):
    await plant.open(HOT + MEAN % 5)
    await plant.see(9, 9, 9)
    plant.write(MEAN % 5 + WARM)
    rules = load_rules([plant.path])
    swapping = asyncio.create_task(plant.running.swap(rules))
    for _ in range(turns):
        await asyncio.sleep(0)
    plant.task.cancel()
    await asyncio.gather(plant.task, return_exceptions=True)
    swapping.cancel()
    await plant.start()
    await plant.see(9)
    await plant.stop()
    assert sorted(await plant.told()) == [
        ("hot", "cleared"),
        ("hot", "raised"),
        ("mean", "raised"),
        ("warm", "raised"),
    ]


def test_a_change_is_described_for_people():
    before = parse_rules(HEAD + HOT + WARM)
    after = parse_rules(HEAD + WARM.replace("2", "3") + "  - {id: c, when: payload.x > 1}\n")
    assert describe_change(before, after) == (
        "0 as before; new: c; changed, their windows begin anew: warm; "
        "gone, their alarms are cleared: hot"
    )
