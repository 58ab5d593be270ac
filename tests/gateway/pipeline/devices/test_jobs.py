from __future__ import annotations

import asyncio
import contextlib

import orjson
import pytest

from gateway.devices import (
    COMMANDS_TABLE,
    DEVICES_TABLE,
    TWINS_TABLE,
    Device,
    decode_twin,
    encode_device,
    read_wish,
)
from gateway.errors import ChangeRefused
from gateway.pipeline.devices import jobs
from gateway.pipeline.devices.desk import DeviceDesk
from tests.harness.device_services import Bench
from tests.harness.waiting import until

COUNT = 30


@pytest.fixture
async def bench():
    bench = await Bench().open()
    table = bench.store.table(DEVICES_TABLE)
    for number in range(COUNT):
        device = Device(f"pump-{number:02}", tags={"site": "north" if number % 2 else "south"})
        await table.put(device.id, encode_device(device))
    return bench


@contextlib.asynccontextmanager
async def at_work(bench):
    desk = DeviceDesk(bench.around)
    tasks = desk.start()
    try:
        yield desk
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def wish(job_id="j1", kind="set", content=None, **more):
    query = {"pattern": "*", "tags": {"site": "north"}}
    fields = {"id": job_id, "kind": kind, "content": content or {"a": 1}, "query": query}
    return orjson.dumps({"by": "me", "rate_per_s": 10_000, **fields, **more})


async def until_ended(desk, job_id="j1"):
    await until(lambda: desk._jobs._jobs[job_id].state != "running", "the end of the job")
    return desk._jobs._jobs[job_id]


async def changes(bench):
    return [topic.split("/")[1] for topic, _ in await bench.said("twins", "desired")]


async def test_a_job_sees_to_every_device_that_is_meant(bench):
    async with at_work(bench) as desk:
        begun = await desk.start_job(wish())
        job = await until_ended(desk)
    assert (begun["state"], begun["total"]) == ("running", COUNT // 2)
    assert (job.state, job.done, job.failed) == ("done", COUNT // 2, 0)
    assert await changes(bench) == [f"pump-{number:02}" for number in range(1, COUNT, 2)]
    twin = decode_twin(await bench.store.entry(TWINS_TABLE, "pump-01"))
    assert twin.desired == {"a": 1}
    event = next(
        event for _, event in await bench.said("twins", "changed") if "a" in event["patch"]
    )
    assert event["by"] == "me, job j1"


@pytest.mark.parametrize("kind", ["set", "command"])
async def test_a_job_that_is_cut_off_does_nothing_twice(bench, monkeypatch, kind):
    monkeypatch.setattr(jobs, "DEVICES_IN_A_STEP_MAX", 2)
    content = {"a": 1} if kind == "set" else {"name": "reboot"}
    done = []
    for _ in range(40):
        async with at_work(bench) as desk:
            job = await desk._jobs.start(read_wish(wish(kind=kind, content=content)))
            before = job.cursor

            def has_moved(desk=desk, before=before):
                return desk._jobs._jobs["j1"].cursor > before or (
                    desk._jobs._jobs["j1"].state == "done"
                )

            await until(has_moved, "a step")
        done.append(desk._jobs._jobs["j1"])
        if done[-1].state == "done":
            break
    assert len(done) > 2
    assert (done[-1].done, done[-1].failed) == (COUNT // 2, 0)
    meant = [f"pump-{number:02}" for number in range(1, COUNT, 2)]
    if kind == "set":
        assert await changes(bench) == meant
    else:
        keys = [key for key, _ in await bench.store.entries(COMMANDS_TABLE)]
        assert keys == [f"{device}/j1" for device in meant]
        assert len(await bench.said("commands", "event")) == len(meant)


async def test_the_same_identifier_is_one_job(bench):
    async with at_work(bench) as desk:
        await desk.start_job(wish())
        await until_ended(desk)
        assert (await desk.start_job(wish()))["state"] == "done"
        with pytest.raises(ChangeRefused, match="there is another job 'j1'"):
            await desk.start_job(wish(content={"a": 2}))


async def test_what_fails_for_a_device_is_told_and_stops_nobody(bench, monkeypatch):
    monkeypatch.setattr("gateway.pipeline.devices.twins.TWINS_MAX", 10)
    async with at_work(bench) as desk:
        await desk.start_job(wish())
        job = await until_ended(desk)
    assert (job.done, job.failed) == (10, 5)
    assert "as many as there may be" in dict(job.failures)["pump-29"]


async def test_a_cancelled_job_stays_where_it_was(bench, monkeypatch):
    monkeypatch.setattr(jobs, "DEVICES_IN_A_STEP_MAX", 1)
    async with at_work(bench) as desk:
        await desk.start_job(wish(rate_per_s=10))
        await until(lambda: desk._jobs._jobs["j1"].done, "the first")
        cancelled = await desk.cancel_job("j1")
        assert (cancelled["state"], cancelled["done"]) == ("cancelled", 1)
        with pytest.raises(ChangeRefused, match="it is cancelled"):
            await desk.cancel_job("j1")
        with pytest.raises(ChangeRefused, match="no such job"):
            await desk.cancel_job("other")
    async with at_work(bench) as desk:
        assert (await desk.start_job(wish(rate_per_s=10)))["state"] == "cancelled"
    assert await changes(bench) == ["pump-01"]


async def test_only_so_many_run_and_only_so_many_are_remembered(bench, monkeypatch):
    monkeypatch.setattr(jobs, "JOBS_RUNNING_MAX", 0)
    monkeypatch.setattr(jobs, "JOBS_KEPT_MAX", 2)
    async with at_work(bench) as desk:
        with pytest.raises(ChangeRefused, match="0 jobs are running"):
            await desk.start_job(wish())
        monkeypatch.setattr(jobs, "JOBS_RUNNING_MAX", 1)
        for number in range(4):
            bench.clock.advance(1)
            await desk.start_job(wish(f"j{number}"))
            await until_ended(desk, f"j{number}")

        async def are_two():
            return [key for key, _ in await bench.store.entries("device-jobs")] == ["j2", "j3"]

        await until(are_two, "two jobs")
