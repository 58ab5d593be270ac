from __future__ import annotations

import asyncio

import orjson
import pytest

from gateway.devices import DeviceTopics, ProfileBook, parse_profile
from gateway.pipeline.devices import reports
from gateway.pipeline.devices.reports import ReportService, ReportWatch
from gateway.routing import Router, StreamRoute
from gateway.store import partition_of
from tests.harness.device_services import NOW_MS, Bench
from tests.harness.waiting import until

BOOK = parse_profile(
    """
version: 1
profile: pump
topics: ["plant/{device}/t"]
payload: {format: json}
sequence: {field: seq}
report: {every: 10s, heartbeat: 30s}
"""
)


@pytest.fixture
async def bench():
    bench = Bench()
    routes = [StreamRoute("others", ("#",), 1)]
    topics = DeviceTopics(["+/{device}/#"])
    bench.router = Router(routes, topics.device_of, partition_of)
    return await bench.open()


def service_of(bench):
    return ReportService(BOOK, ["others"], bench.clock)


async def send(bench, *numbers, device="p1"):
    for number in numbers:
        await bench.publish(f"plant/{device}/t", {"seq": number}, client=device)


async def has_begun(bench, service):
    await until(lambda: service._began_ms == NOW_MS, "the start")


async def told(bench, count, verb):
    found = await until_told(bench, count, verb)
    return [(event["device"], event.get("state", event.get("event"))) for event in found]


async def until_told(bench, count, verb):
    async def are_there():
        return len(await said(bench, verb)) >= count

    await until(are_there, f"{count} of {verb}")
    return await said(bench, verb)


async def said(bench, verb):
    return [event for _, event in await bench.said("others", verb)]


async def test_gaps_and_restarts_are_told_and_repeats_are_not(bench):
    service = service_of(bench)
    async with bench.at_work(service):
        await has_begun(bench, service)
        await send(bench, 1, 2, 2, 5, 6, 0, 1)
        await bench.publish("plant/p1/t", b"no json")
        await bench.publish("plant/p1/t", {"other": 1})
        gap, restart = await until_told(bench, 2, "gaps")
    assert gap == {
        "device": "p1",
        "profile": "pump",
        "event": "gap",
        "missing": 2,
        "after": 2,
        "before": 5,
        "topic": "plant/p1/t",
        "time": NOW_MS,
    }
    assert (restart["event"], restart["after"], restart["before"]) == ("restart", 6, 0)


async def test_a_gap_across_a_restart_is_told_once(bench):
    service = service_of(bench)
    async with bench.at_work(service):
        await has_begun(bench, service)
        await send(bench, 1, 3)
        await until_told(bench, 1, "gaps")
        # What was read is not written down when the power fails.
        await send(bench, 4, 5)
        await until(lambda: service._seen["pump", "p1"].number == 5, "the last message")
    await send(bench, 9)
    async with bench.at_work(service_of(bench)):
        found = await until_told(bench, 2, "gaps")
    assert [event["missing"] for event in found] == [1, 3]


async def test_what_was_seen_is_written_down_before_the_loop_saves_offsets(bench, monkeypatch):
    monkeypatch.setattr(reports, "SAVE_RECORDS", 10)
    service = service_of(bench)
    async with bench.at_work(service):
        await has_begun(bench, service)
        await send(bench, *range(12))

        async def is_saved():
            return await bench.store.entries("device-reports")

        ((key, _),) = await until(is_saved, "an entry")
    assert key == "pump/p1"


async def test_a_device_that_falls_silent_and_speaks_again_is_told(bench):
    service = service_of(bench)
    async with bench.at_work(service) as loop:
        await has_begun(bench, service)
        await send(bench, 1)
        await send(bench, 1, device="p2")
        await until(lambda: len(service._seen) == 2, "both devices")
        bench.clock.advance(29_000)
        await send(bench, 2, device="p2")
        await until(lambda: service._seen["pump", "p2"].number == 2, "a word")
        bench.clock.advance(8_000)
        loop.note_arrival("x")
        assert await told(bench, 1, "reports") == [("p1", "silent")]
        retained = orjson.loads(await bench.store.entry("retained", "presence/p1/reports"))
        assert retained["state"] == "silent"
        await send(bench, 2)
        assert await told(bench, 2, "reports") == [("p1", "silent"), ("p1", "reporting")]


async def test_silence_does_not_count_while_the_gateway_was_down(bench):
    service = service_of(bench)
    async with bench.at_work(service):
        await has_begun(bench, service)
        await send(bench, 1, 3)
        await until_told(bench, 1, "gaps")
    bench.clock.advance(3_600_000)
    again = service_of(bench)
    async with bench.at_work(again) as loop:
        await until(lambda: again._look_at_ms > NOW_MS + 3_600_000, "a look")
        assert await said(bench, "reports") == []
        bench.clock.advance(31_000)
        loop.note_arrival("x")
        assert await told(bench, 1, "reports") == [("p1", "silent")]


async def test_topics_without_such_a_profile_are_passed_over(bench):
    service = service_of(bench)
    async with bench.at_work(service):
        await has_begun(bench, service)
        await bench.publish("plant/p1/other", {"seq": 1})
        await send(bench, 1)
        await until(lambda: service._seen, "a device")
        service.forget_topics()
        await send(bench, 2)
        await until(lambda: service._seen["pump", "p1"].number == 2, "a word")
    assert list(service._seen) == [("pump", "p1")]


async def test_the_service_is_set_to_work_when_a_profile_asks_for_it(bench):
    book, tasks = ProfileBook(), []
    ReportWatch(book, ["others"], bench.around, tasks).start()
    assert tasks == []
    book.replace(BOOK)
    book.replace(BOOK)
    (task,) = tasks
    assert task.get_name() == "device-reports"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
