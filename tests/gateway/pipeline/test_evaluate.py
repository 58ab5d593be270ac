from __future__ import annotations

import asyncio
import json
import random

import pytest

from gateway.clock import ManualClock
from gateway.errors import MemberFenced, StoreUnavailable
from gateway.events import Flag, Origin, Run
from gateway.mqtt import decode_publish_properties
from gateway.pipeline.evaluate import RuleEvaluation
from gateway.pipeline.evaluation_options import EvaluationOptions
from gateway.rules import parse_rules
from gateway.store import Put, StreamSpec
from gateway.store.memory import MemoryStore
from tests.harness.rule_runs import MANY, story
from tests.harness.waiting import until

HOT = """
version: 1
rules:
  - id: hot
    from: plant/+
    key: device
    when: payload.x > 5
    publish: {topic: "siren/{device}", qos: 1, retain: true, on: [raised]}
"""
OPTIONS = EvaluationOptions(checkpoint_age_ms_max=5, retry_ms=1, tick_interval_ms=0)
LAZY = EvaluationOptions(checkpoint_age_ms_max=10**9)


def route(topic):
    if topic.startswith("alerts/"):
        return "alerts", 0, Origin(topic, topic.split("/")[1])
    return "telemetry", 1, Origin(topic, "siren")


async def open_memory(store=None):
    store = store or MemoryStore()
    for name, partitions in (("telemetry", 2), ("alerts", 1), ("ticks", 1)):
        await store.ensure(StreamSpec(name, partitions=partitions))
    return store


def evaluation(store, text=HOT, *, clock=None, options=OPTIONS):
    rules = parse_rules(text if text.startswith("\nversion") else f"version: 1\n{text}")
    return RuleEvaluation(store, rules, ["telemetry"], route, clock or ManualClock(1_000), options)


def event(x, *, device="m1", arrival=1_000, **fields):
    payload = json.dumps({"x": x, **fields}).encode()
    origin = Origin(f"plant/{device}", device)
    return Run("telemetry", 0, "c", arrival, [origin], [payload], b"\x00")


async def records(store, stream, partition=0):
    chunk = await store.fetch(stream, partition, 0, records_max=100_000)
    return [record for batch in chunk.batches for record in batch.records()]


async def alerts(store):
    return [json.loads(record.payload) for record in await records(store, "alerts")]


def reader(store, count, stream="alerts", partition=0):
    async def has_enough():
        found = await records(store, stream, partition)
        return found if len(found) >= count else None

    return has_enough


async def test_an_alarm_is_a_record_of_alerts_with_its_id():
    store = await open_memory()
    running = evaluation(store)
    task = asyncio.create_task(running.run())
    await store.append([event(3), event(6), event(2)])
    raised, cleared = await until(reader(store, 2), "the outputs")
    await running.stop()
    await task
    assert raised.topic == "alerts/hot/m1"
    assert raised.flags == Flag.QOS_1
    alert = json.loads(raised.payload)
    assert (alert["event"], alert["offset"], alert["reason"]) == (
        "raised",
        1,
        "payload.x > 5: payload.x = 6",
    )
    properties = decode_publish_properties(raised.properties)
    assert properties.user_properties == (("penstock-id", alert["id"]),)
    assert json.loads(cleared.payload)["event"] == "cleared"


async def test_a_published_message_is_a_record_where_its_topic_belongs():
    store = await open_memory()
    running = evaluation(store)
    task = asyncio.create_task(running.run())
    await store.append([event(6)])
    (message,) = await until(reader(store, 1, "telemetry", 1), "the outputs")
    await running.stop()
    await task
    assert (message.topic, message.client, message.flags) == (
        "siren/m1",
        "$rules",
        Flag.QOS_1 | Flag.RETAIN,
    )
    assert json.loads(message.payload)["rule"] == "hot"


async def test_a_late_event_makes_its_side_stream():
    text = HOT.replace("when:", "time: {by: event, field: payload.ts}\n    when:")
    store = await open_memory()
    running = evaluation(store, text)
    task = asyncio.create_task(running.run())
    assert "late-hot" not in {spec.name for spec in await store.streams()}
    await store.append([event(1, ts=100), event(9, ts=50)])
    await until(
        lambda: "late-hot" in store._specs and store._logs["late-hot", 0].batches,
        "the loop to get there",
    )
    await running.stop()
    await task
    (late,) = await records(store, "late-hot")
    assert (late.topic, late.device, json.loads(late.payload)["ts"]) == ("plant/m1", "m1", 50)


async def test_stop_saves_the_state_and_the_next_run_continues_it():
    store = await open_memory()
    for x in (6, 7):
        running = evaluation(store, options=LAZY)
        task = asyncio.create_task(running.run())
        await store.append([event(x)])
        await until(reader(store, 1), "the outputs")
        await running.stop()
        await task
    assert [(a["event"], a["n"]) for a in await alerts(store)] == [("raised", 1)]
    assert store._committed["rules"]["telemetry", 0] == 2


async def test_stop_before_the_first_turn_ends_the_run():
    running = evaluation(await open_memory())
    await running.stop()
    task = asyncio.create_task(running.run())
    await asyncio.wait_for(task, 5)


async def test_silence_is_journaled_and_fires_what_is_due():
    text = HOT.replace("when:", "for: 1h\n    when:")
    store, clock = await open_memory(), ManualClock(1_000)
    running = evaluation(store, text, clock=clock)
    task = asyncio.create_task(running.run())
    await store.append([event(6)])
    await until(lambda: running._engine.next_tick_ms() == 3_601_000, "the loop to get there")
    assert await records(store, "ticks") == []
    clock.advance(3_600_000)
    await until(reader(store, 1), "the outputs")
    await running.stop()
    await task
    (tick,) = await records(store, "ticks")
    assert json.loads(tick.payload) == {"now_ms": 3_601_000}
    (alert,) = await alerts(store)
    assert (alert["time"], alert["stream"]) == ("1970-01-01T01:00:01.000Z", "ticks")


async def run_through(store, text, options, crash_after=None):
    """Evaluate everything in the log, or be cut off after so many turns of the loop."""
    running = evaluation(store, text, options=options)
    task = asyncio.create_task(running.run())
    if crash_after is not None:
        for _ in range(crash_after):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return
    ends = {key: log.end_offset for key, log in store._logs.items() if key[0] != "alerts"}
    await until(
        lambda: all(running._offsets.get(key, end) >= end for key, end in ends.items()),
        "the loop to get there",
    )
    await until(lambda: running._position is not None, "the loop to get there")
    await running.stop()
    await task


async def stored_story(seed):
    store = await open_memory()
    for batch in story(seed):
        await store.append(list(batch.runs))
    return store


QUIET = MANY.replace('publish: {topic: "out/{device}", payload: {m: "{m}"}}', "")


@pytest.mark.parametrize("seed", range(3))
async def test_crashes_at_any_moment_leave_the_alerts_of_an_uninterrupted_run(seed):
    rng = random.Random(seed)
    whole = await stored_story(seed)
    options = EvaluationOptions(
        checkpoint_interval_ms=0, checkpoint_records=40, slice_records=rng.choice([1, 7, 30])
    )
    await run_through(whole, QUIET, options)
    cut_often = await stored_story(seed)
    for _ in range(12):
        await run_through(cut_often, QUIET, options, crash_after=rng.randint(1, 60))
    await run_through(cut_often, QUIET, options)
    wanted = [record.payload for record in await records(whole, "alerts")]
    assert len(wanted) > 50
    assert [record.payload for record in await records(cut_often, "alerts")] == wanted


class Stubborn(MemoryStore):
    """A store whose disk refuses some commits of the rules."""

    def __init__(self, refusals):
        super().__init__()
        self.refusals = refusals

    def submit(self, runs, puts, group, offsets):
        if group and self.refusals:
            self.refusals -= 1
            future = asyncio.get_running_loop().create_future()
            future.set_exception(StoreUnavailable("the disk is full"))
            return future
        return super().submit(runs, puts, group, offsets)


async def test_while_the_disk_refuses_nothing_is_lost_and_nothing_overtakes():
    store = await open_memory(Stubborn(refusals=5))
    running = evaluation(store)
    task = asyncio.create_task(running.run())
    for x in (6, 1, 7, 2):
        await store.append([event(x)])
    await until(reader(store, 4), "the outputs")
    await running.stop()
    await task
    found = [(alert["event"], alert["offset"]) for alert in await alerts(store)]
    assert found == [("raised", 0), ("cleared", 1), ("raised", 2), ("cleared", 3)]


async def test_a_second_evaluation_of_one_log_ends_the_first():
    store = await open_memory()
    first = evaluation(store)
    task = asyncio.create_task(first.run())
    await store.append([event(1)])
    await until(lambda: first._position is not None, "the loop to get there")
    second = evaluation(store)
    second_task = asyncio.create_task(second.run())
    await until(lambda: store.generation("rules") == 2, "the loop to get there")
    await store.append([event(6)])
    with pytest.raises(MemberFenced):
        await asyncio.wait_for(task, 5)
    await second.stop()
    await second_task


async def test_without_alarms_little_is_written():
    store = await open_memory()
    running = evaluation(store, options=EvaluationOptions(checkpoint_records_max=1_000))
    task = asyncio.create_task(running.run())
    commits_before = store.recent.last_commit_no
    await store.append([event(1) for _ in range(900)])
    await until(lambda: running._unsaved_records == 900, "the loop to get there")
    assert store.recent.last_commit_no == commits_before + 1
    await running.stop()
    await task
    assert store.recent.last_commit_no == commits_before + 2


@pytest.mark.parametrize(
    ("records", "age_ms", "is_due"),
    [
        (9_999, 10_000, False),
        (10_000, 9_999, False),
        (10_000, 10_000, True),
        (1, 299_999, False),
        (1, 300_000, True),
        (200_000, 0, True),
    ],
)
async def test_state_is_saved_neither_too_often_nor_too_seldom(records, age_ms, is_due):
    clock = ManualClock(1_000)
    running = evaluation(await open_memory(), clock=clock, options=EvaluationOptions())
    running._unsaved_records = records
    clock.advance(age_ms)
    assert (running._until_checkpoint_ms() <= 0) is is_due


class TwoFacedStore(MemoryStore):
    """Says of some commits that they failed, though they are in the log."""

    def __init__(self, lies):
        super().__init__()
        self._lies = lies

    def submit(self, runs, puts, group, offsets):
        future = super().submit(runs, puts, group, offsets)
        if not group or not next(self._lies, False):
            return future

        async def lie():
            await future
            raise StoreUnavailable("fsync failed, says the disk")

        return asyncio.ensure_future(lie())


@pytest.mark.parametrize("seed", range(5))
async def test_a_commit_that_landed_though_it_failed_emits_nothing_twice(seed):
    chance = random.Random(seed)
    store = await open_memory(TwoFacedStore(iter([chance.random() < 0.5 for _ in range(40)])))
    running = evaluation(store)
    task = asyncio.create_task(running.run())
    for number in range(6):
        await store.append([event(6 if number % 2 == 0 else 1, arrival=1_000 + number)])
        await until(reader(store, number + 1), "the outputs")
    await running.stop()
    await task
    assert [alert["event"] for alert in await alerts(store)] == ["raised", "cleared"] * 3


async def test_tables_change_with_derived_records():
    store = await open_memory()
    rules = parse_rules(HOT)
    running = RuleEvaluation(
        store,
        rules,
        ["telemetry"],
        route,
        ManualClock(1_000),
        OPTIONS,
        puts_of=lambda runs: [Put("seen", run.origins[0].topic, b"1") for run in runs],
    )
    task = asyncio.create_task(running.run())
    await store.append([event(6)])
    await until(reader(store, 1), "the outputs")
    await running.stop()
    await task
    assert await store.table("seen").get("siren/m1") == b"1"


SILENT = """
version: 1
rules:
  - {id: silent, from: plant/+, absent: {for: 5s, startup_grace: 2s}}
"""


async def test_a_start_is_journaled_where_silence_is_to_be_noticed():
    store, clock = await open_memory(), ManualClock(1_000)
    for _ in range(2):
        running = evaluation(store, SILENT, clock=clock)
        task = asyncio.create_task(running.run())
        await store.append([event(1, arrival=clock.now_ms())])
        await until(lambda running=running: running._position is not None, "the loop to get there")
        await running.stop()
        await task
        clock.advance(6_000)
    ticks = [json.loads(record.payload) for record in await records(store, "ticks")]
    assert [tick for tick in ticks if "is_start" in tick] == [
        {"now_ms": 1_000, "is_start": True},
        {"now_ms": 7_000, "is_start": True},
    ]


async def test_rules_without_silence_journal_no_start():
    store = await open_memory()
    running = evaluation(store)
    task = asyncio.create_task(running.run())
    await store.append([event(1)])
    await until(lambda: running._position is not None, "the loop to get there")
    await running.stop()
    await task
    assert await records(store, "ticks") == []
