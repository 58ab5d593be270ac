"""Rules that feed rules through the log."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from gateway.mqtt import decode_publish_properties
from gateway.pipeline.evaluation_options import EvaluationOptions
from gateway.store import StreamSpec
from tests.gateway.pipeline.test_evaluate import (
    OPTIONS,
    alerts,
    evaluation,
    event,
    open_memory,
    reader,
    records,
)
from tests.harness.rule_runs import story
from tests.harness.waiting import until

CHAIN = """
version: 1
defaults: {from: plant/+, key: device, time: {by: event, field: payload.ts, out_of_order: 20ms}}
rules:
  - id: means
    window: {tumbling: 40ms}
    aggregate: {m: avg(payload.x), n: count()}
    emit: {stream: means}
  - id: steep
    from: rule:means
    when: payload.m > prev.payload.m + 1
    emit: {stream: steep, fields: {up: payload.m - prev.payload.m}}
    alarm: {message: "{payload.m:.2f}"}
  - id: fleet
    from: rule:steep
    key: []
    time: {out_of_order: 300ms}
    window: {sliding: 200ms}
    aggregate: {most: max(payload.up), devices: distinct(device)}
    when: devices > 1 && most > 2
"""


async def run_chain(store, options, crash_after=None):
    running = evaluation(store, CHAIN, options=options)
    task = asyncio.create_task(running.run())
    if crash_after is not None:
        for _ in range(crash_after):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return

    def has_read_all():
        ends = {
            key: log.end_offset
            for key, log in store._logs.items()
            if key[0] in ("telemetry", "means", "steep")
        }
        done = all(running._offsets.get(key, end) >= end for key, end in ends.items())
        return done and running._commit is None and not running._outputs and running._position

    for _ in range(3):
        await until(has_read_all, "the loop to get there")
        await asyncio.sleep(0)
    await running.stop()
    await task


async def stored(seed):
    store = await open_memory()
    for batch in story(seed):
        await store.append(list(batch.runs))
    return store


@pytest.mark.parametrize("seed", range(3))
async def test_crashes_at_any_moment_leave_the_streams_of_an_uninterrupted_run(seed):
    rng = random.Random(seed)
    options = EvaluationOptions(
        checkpoint_interval_ms=0, checkpoint_records=40, slice_records=rng.choice([1, 7, 30])
    )
    whole, cut_often = await stored(seed), await stored(seed)
    await run_chain(whole, options)
    for _ in range(14):
        await run_chain(cut_often, options, crash_after=rng.randint(1, 90))
    await run_chain(cut_often, options)
    for stream, least in (("means", 50), ("steep", 10)):
        wanted = await records(whole, stream)
        assert len(wanted) > least
        assert await records(cut_often, stream) == wanted
    told = [record.payload for record in await records(whole, "alerts")]
    assert any(json.loads(one)["rule"] == "fleet" for one in told)
    assert sorted(record.payload for record in await records(cut_often, "alerts")) == sorted(told)


async def test_a_derived_record_has_a_topic_an_id_and_the_arrival_of_its_cause():
    store = await open_memory()
    running = evaluation(store, CHAIN, options=OPTIONS)
    task = asyncio.create_task(running.run())
    await store.append([event(3, ts=10, arrival=500), event(6, ts=99, arrival=700)])
    (mean,) = await until(reader(store, 1, "means"), "the outputs")
    await running.stop()
    await task
    assert (mean.topic, mean.device, mean.client) == ("derived/means/m1", "m1", "$rules")
    assert (mean.arrival_ms, json.loads(mean.payload)) == (700, {"ts": 40, "m": 3.0, "n": 1})
    properties = decode_publish_properties(mean.properties)
    assert properties.user_properties == (("penstock-id", "means:m1@telemetry:0:1:0"),)


async def test_a_rule_that_comes_later_reads_what_is_emitted_from_then_on():
    store = await open_memory()
    first = CHAIN[: CHAIN.index("  - id: steep")]
    await store.ensure(StreamSpec("means", partitions=1))
    runs = [(first, (0, 50, 100), "means", 2), (CHAIN, (150, 200, 250, 300), "steep", 1)]
    for text, times, stream, count in runs:
        running = evaluation(store, text, options=OPTIONS)
        task = asyncio.create_task(running.run())
        for time_ms in times:
            await store.append([event(time_ms, ts=time_ms)])
        await until(reader(store, count, stream), "the outputs")
        await running.stop()
        await task
    # The first mean that it reads is 100: `prev` of that is unknown, although the log holds more.
    raised = [one for one in await alerts(store) if one["event"] == "raised"]
    assert [one["message"] for one in raised] == ["150.00"]
