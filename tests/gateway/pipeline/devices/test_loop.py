from __future__ import annotations

import asyncio

import pytest

from gateway.errors import ChangeRefused, PenstockError, StoreError, StoreUnavailable
from gateway.pipeline.devices import loop as loop_module
from gateway.pipeline.devices import turns
from gateway.pipeline.devices.loop import COMMITS_TABLE, ServiceLoop
from tests.harness.device_services import NOW_MS, Bench
from tests.harness.waiting import until


class Tally:
    """A service that counts what it sees, in the log."""

    group = "tally"
    streams = ("commands",)

    def __init__(self):
        self.due = None
        self.woken = 0
        self.welcomed = []

    async def begin(self, store):
        pass

    async def take(self, record, turn):
        if record.topic.endswith("/count"):
            count = int(await turn.get("tally", "count") or b"0") + 1
            turn.put("tally", "count", str(count).encode())
            turn.say("others/tally", str(count).encode())

    async def welcome(self, device, turn):
        self.welcomed.append(device)

    def due_ms(self):
        return self.due

    def close(self):
        pass

    async def wake(self, turn):
        self.due = None
        self.woken += 1


@pytest.fixture
async def bench(monkeypatch):
    monkeypatch.setattr(turns, "RETRY_S", 0.001)
    monkeypatch.setattr(loop_module, "RETRY_S", 0.001)
    return await Bench().open()


async def counted(bench):
    return int(await bench.store.entry("tally", "count") or b"0")


async def spoken(bench):
    return [record.payload for record in await bench.records("others")]


async def test_each_record_has_its_effects_once_however_often_it_begins_anew(bench):
    for number in range(1, 5):
        async with bench.at_work(Tally()):
            await bench.publish("x/d/count", b"")
            await bench.publish("command/d/count", b"")

            async def is_done(number=number):
                return await counted(bench) == number

            await until(is_done, "the count")
    assert await spoken(bench) == [b"", b"1", b"", b"2", b"", b"3", b"", b"4"]


@pytest.mark.parametrize("lands", [True, False])
async def test_a_commit_that_fails_is_made_once(bench, monkeypatch, lands):
    failures = iter([True, False])
    join = bench.store.join

    def faulty(group, streams):
        member = join(group, streams)
        commit = member.commit

        async def failing(**content):
            if next(failures, False):
                if lands:
                    await commit(**content)
                raise StoreUnavailable("no")
            return await commit(**content)

        member.commit = failing
        return member

    monkeypatch.setattr(bench.store, "join", faulty)
    async with bench.at_work(Tally()):
        await bench.publish("command/d/count", b"")
        await bench.publish("command/d/count", b"")

        async def is_done():
            return await counted(bench) == 2

        await until(is_done, "the count")
    assert await spoken(bench) == [b"1", b"2"]


async def test_who_asks_hears_when_it_is_durable(bench):
    async def act(turn):
        assert turn.now_ms == NOW_MS
        turn.put("tally", "count", b"9")
        return "done"

    async with bench.at_work(Tally()) as loop:
        assert await loop.ask(act) == "done"
        assert await counted(bench) == 9


async def test_a_refusal_reaches_who_asked_and_nobody_else(bench):
    async def refuse(turn):
        raise PenstockError("no such thing")

    async def act(turn):
        return 1

    async with bench.at_work(Tally()) as loop:
        results = await asyncio.gather(loop.ask(refuse), loop.ask(act), return_exceptions=True)
    assert isinstance(results[0], ChangeRefused)
    assert str(results[0]) == "no such thing"
    assert results[1] == 1
    assert await bench.store.entry(COMMITS_TABLE, "tally") is None


async def test_only_so_many_may_wait(bench, monkeypatch):
    monkeypatch.setattr(loop_module, "ASKED_MAX", 0)
    with pytest.raises(StoreError, match="0 requests wait already"):
        await ServiceLoop(Tally(), bench.around).ask(None)


async def test_who_waits_when_it_stops_is_told(bench):
    async def never(turn):
        await asyncio.Event().wait()

    async with bench.at_work(Tally()) as loop:
        asking = asyncio.ensure_future(loop.ask(never))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(loop.ask(never))
        await asyncio.sleep(0)
    for one in (waiting, asking):
        with pytest.raises(StoreUnavailable, match="the gateway stops"):
            await one


async def test_time_and_arrivals_wake_it(bench):
    service = Tally()
    service.due = NOW_MS
    async with bench.at_work(service) as loop:
        await until(lambda: service.woken == 1, "the time")
        loop.note_arrival("a")
        loop.note_arrival("a")
        await until(lambda: service.welcomed, "the arrival")
    assert service.welcomed == ["a"]


async def test_how_far_it_has_read_is_noted_from_time_to_time(bench, monkeypatch):
    monkeypatch.setattr(loop_module, "UNSAVED_RECORDS_MAX", 3)
    async with bench.at_work(Tally()):
        for _ in range(3):
            await bench.publish("command/d/other", b"")

        async def is_noted():
            return any(group.name == "tally" for group in await bench.store.groups())

        await until(is_noted, "the place of the group")
