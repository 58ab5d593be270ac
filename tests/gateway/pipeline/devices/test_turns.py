from __future__ import annotations

import pytest

from gateway.errors import StoreUnavailable
from gateway.events import Flag
from gateway.pipeline.devices import turns
from gateway.pipeline.devices.turns import Entries, Turn
from tests.harness.device_services import NOW_MS, Bench


@pytest.fixture
async def bench():
    return await Bench().open()


def turn_of(bench, entries=None):
    return Turn(entries or Entries(bench.store), bench.router.route_of, NOW_MS)


async def test_a_turn_sees_what_it_has_put(bench):
    await bench.store.table("t").put("k", b"old")
    turn = turn_of(bench)
    assert await turn.get("t", "k") == b"old"
    turn.put("t", "k", b"new")
    assert await turn.get("t", "k") == b"new"
    turn.put("t", "k", None)
    assert await turn.get("t", "k") is None
    assert turn.puts == {("t", "k"): None}


async def test_what_is_said_goes_in_order_to_the_streams_of_its_topics(bench):
    turn = turn_of(bench)
    assert turn.is_empty
    turn.say("twin/a/changed", b"1")
    turn.say("command/a/event/1", b"2")
    turn.say("twin/a/desired", b"3", retain=True)
    assert not turn.is_empty
    twins, commands = turn.runs()
    assert (twins.stream, list(twins.payloads)) == ("twins", [b"1", b"3"])
    assert list(twins.flags) == [Flag.QOS_1, Flag.QOS_1 | Flag.RETAIN]
    assert (commands.stream, commands.client, commands.arrival_ms) == (
        "commands",
        "$gateway",
        NOW_MS,
    )
    assert [origin.device for origin in twins.origins] == ["a", "a"]


async def test_who_follows_is_called_when_it_is_durable(bench):
    turn, called = turn_of(bench), []
    turn.after(lambda: called.append(1))
    assert called == []
    turn.conclude()
    assert called == [1]


async def test_entries_are_read_once_while_there_is_room(bench, monkeypatch):
    await bench.store.table("t").put("k", b"x" * 100)
    entries, reads = Entries(bench.store), []
    entry = bench.store.entry

    async def counting(table, key):
        reads.append(key)
        return await entry(table, key)

    monkeypatch.setattr(bench.store, "entry", counting)
    assert await entries.get("t", "k") == await entries.get("t", "k") == b"x" * 100
    assert reads == ["k"]
    entries.take({("t", "k"): b"new"})
    assert await entries.get("t", "k") == b"new"
    monkeypatch.setattr(turns, "CACHE_BYTES_MAX", 0)
    entries.take({("t", "other"): b"1"})
    await bench.store.table("t").put("k", b"newer")
    assert await entries.get("t", "k") == b"newer"


async def test_a_read_waits_while_the_disk_refuses(bench, monkeypatch):
    monkeypatch.setattr(turns, "RETRY_S", 0.001)
    failures = iter([True, True])
    entry = bench.store.entry

    async def failing(table, key):
        if next(failures, False):
            raise StoreUnavailable("no")
        return await entry(table, key)

    monkeypatch.setattr(bench.store, "entry", failing)
    assert await Entries(bench.store).get("t", "k") is None
