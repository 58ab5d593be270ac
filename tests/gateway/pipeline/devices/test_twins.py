from __future__ import annotations

import random

import orjson
import pytest

from gateway.devices import TWINS_TABLE, decode_event, decode_twin, merged
from gateway.errors import ChangeRefused
from gateway.pipeline.devices import twins
from gateway.pipeline.devices.twins import TAGS_TABLE, TwinService
from tests.harness.device_services import NOW_MS, Bench

TOPIC = "twin/pump-7"


@pytest.fixture
async def bench():
    return await Bench().open()


def service_of(bench):
    return TwinService(bench.around.is_heard)


async def twin_in(bench, device="pump-7"):
    return decode_twin(await bench.store.entry(TWINS_TABLE, device))


def wish(service, patch, device="pump-7", if_version=None):
    async def act(turn):
        return await service.wish(device, patch, "console", turn, if_version)

    return act


async def test_a_report_is_kept_and_told_in_the_history(bench):
    async with bench.at_work(service_of(bench)):
        await bench.publish(f"{TOPIC}/reported", {"interval_s": 5}, client="pump-7")
        ((topic, event),) = await bench.until_said("twins", 1, "changed")
    assert topic == f"{TOPIC}/changed"
    assert event == {
        "part": "reported",
        "version": 1,
        "patch": {"interval_s": 5},
        "value": {"interval_s": 5},
        "by": "pump-7",
        "time": NOW_MS,
    }
    assert (await twin_in(bench)).reported == {"interval_s": 5}


async def test_a_wish_is_retained_whole_and_told_as_a_delta(bench):
    bench.heard.add(("twin", "pump-7"))
    service = service_of(bench)
    async with bench.at_work(service) as loop:
        await loop.ask(wish(service, {"a": 1, "b": 2}))
        await loop.ask(wish(service, {"b": None}))
    said = await bench.said("twins", "desired", "delta")
    assert said == [
        (f"{TOPIC}/desired", {"version": 1, "desired": {"a": 1, "b": 2}}),
        (f"{TOPIC}/delta", {"version": 1, "delta": {"a": 1, "b": 2}}),
        (f"{TOPIC}/desired", {"version": 2, "desired": {"a": 1}}),
        (f"{TOPIC}/delta", {"version": 2, "delta": {"b": None}}),
    ]
    retained = await bench.store.entry("retained", f"{TOPIC}/desired")
    assert orjson.loads(retained) == {"version": 2, "desired": {"a": 1}}


async def test_a_device_that_was_away_is_told_three_changes_as_one(bench):
    service = service_of(bench)
    async with bench.at_work(service) as loop:
        for patch in ({"a": 1}, {"a": 2, "b": 1}, {"b": None, "c": 3}):
            await loop.ask(wish(service, patch))
        assert await bench.said("twins", "delta") == []
        bench.heard.add(("twin", "pump-7"))
        loop.note_arrival("pump-7")
        said = await bench.until_said("twins", 1, "delta")
        loop.note_arrival("pump-7")
        await loop.ask(wish(service, {"c": 4}))
    assert said == [(f"{TOPIC}/delta", {"version": 3, "delta": {"a": 2, "c": 3}})]
    assert [delta for _, delta in await bench.said("twins", "delta")][1:] == [
        {"version": 4, "delta": {"c": 4}}
    ]


async def test_who_asks_gets_the_twin_and_its_question_back(bench):
    async with bench.at_work(service_of(bench)):
        await bench.publish(f"{TOPIC}/reported", {"a": 1})
        await bench.until_said("twins", 1, "changed")
        await bench.publish(f"{TOPIC}/get", b"now, please")
        ((topic, state),) = await bench.until_said("device-questions", 1, "state")
    assert topic == f"{TOPIC}/state"
    assert state == {
        "request": "now, please",
        "desired": {},
        "desired_version": 0,
        "reported": {"a": 1},
        "reported_version": 1,
    }


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (b"{", "not JSON"),
        (b"[]", "JSON object"),
        (b'{"$version": 7, "a": 1}', "has version 0, not 7"),
        (b'{"a": "' + b"x" * 40_000 + b'"}', "at most 32768"),
        (b'{"a": {"$b": 1}}', "can't be a name"),
    ],
)
async def test_a_bad_report_is_answered_and_changes_nothing(bench, payload, complaint):
    async with bench.at_work(service_of(bench)):
        await bench.publish(f"{TOPIC}/reported", payload)
        ((topic, answer),) = await bench.until_said("device-questions", 1, "error")
    assert topic == f"{TOPIC}/error"
    assert complaint in answer["error"]
    assert await bench.store.entry(TWINS_TABLE, "pump-7") is None


async def test_an_application_wishes_over_mqtt(bench):
    async with bench.at_work(service_of(bench)):
        await bench.publish(f"{TOPIC}/set", {"a": 1, "$version": 0}, client="app")
        await bench.publish(f"{TOPIC}/set", {"a": 2, "$version": 0}, client="app")
        ((topic, answer),) = await bench.until_said("device-questions", 1, "refused")
    assert (topic, answer["by"]) == (f"{TOPIC}/refused", "app")
    assert answer["error"] == "what is desired has version 1, not 0"
    assert (await twin_in(bench)).desired == {"a": 1}


async def test_a_wish_for_another_version_is_refused(bench):
    service = service_of(bench)
    async with bench.at_work(service) as loop:
        await loop.ask(wish(service, {"a": 1}, if_version=0))
        with pytest.raises(ChangeRefused, match="has version 1, not 0"):
            await loop.ask(wish(service, {"a": 2}, if_version=0))
        with pytest.raises(ChangeRefused, match="can't be a device id"):
            await loop.ask(wish(service, {"a": 2}, device="a/b"))


async def test_what_changes_nothing_writes_nothing(bench):
    service = service_of(bench)
    async with bench.at_work(service) as loop:
        await loop.ask(wish(service, {"a": 1}))
        count = len(await bench.records("twins"))
        await loop.ask(wish(service, {"a": 1, "b": None}))
        assert len(await bench.records("twins")) == count


async def test_there_are_only_so_many_twins(bench, monkeypatch):
    monkeypatch.setattr(twins, "TWINS_MAX", 2)
    async with bench.at_work(service_of(bench)):
        for device in ("a", "b", "c"):
            await bench.publish(f"twin/{device}/reported", {"x": 1})
        ((topic, answer),) = await bench.until_said("device-questions", 1, "error")
        assert topic == "twin/c/error"
        assert "as many as there may be" in answer["error"]
        await bench.publish("twin/a/reported", {"x": 2})
        await bench.until_said("twins", 3, "changed")


async def test_tags_are_told_when_they_change_and_a_removed_device_is_forgotten(bench):
    service = service_of(bench)

    async def tag(turn):
        await service.take_tags("pump-7", {"site": "north", "line": "2"}, "$gateway", turn)
        await service.take_tags("pump-7", {"site": "south"}, "$gateway", turn)
        await service.take_tags("pump-7", {"site": "south"}, "$gateway", turn)

    async def remove(turn):
        await service.remove("pump-7", "$gateway", turn)
        await service.remove("never-seen", "$gateway", turn)

    async with bench.at_work(service) as loop:
        await loop.ask(tag)
        await loop.ask(wish(service, {"a": 1}))
        await loop.ask(remove)
    events = [event for _, event in await bench.said("twins", "changed")]
    assert [event["part"] for event in events] == ["tags", "tags", "desired", "removed"]
    assert events[1]["patch"] == {"site": "south", "line": None}
    assert await bench.store.entry(TWINS_TABLE, "pump-7") is None
    assert await bench.store.entry(TAGS_TABLE, "pump-7") is None
    assert await bench.store.entry("retained", f"{TOPIC}/desired") is None


async def test_the_history_is_what_a_replay_of_the_patches_makes(bench):
    chance = random.Random(7)
    service = service_of(bench)
    async with bench.at_work(service) as loop:
        for _ in range(60):
            patch = {chance.choice("abc"): chance.choice([None, 1, 2, {"x": chance.randint(0, 2)}])}
            if chance.random() < 0.5:
                await loop.ask(wish(service, patch))
            else:
                await bench.publish(f"{TOPIC}/reported", patch)
        twin_patch = {"end": True}
        await loop.ask(wish(service, twin_patch))
    sides = {"desired": {}, "reported": {}}
    for record in await bench.records("twins"):
        if record.topic != f"{TOPIC}/changed":
            continue
        event = decode_event(record.payload)
        sides[event.part] = merged(sides[event.part], event.patch)
        assert sides[event.part] == event.value
    twin = await twin_in(bench)
    assert sides["desired"] == twin.desired


async def test_topics_that_say_nothing_to_it_are_passed_over(bench):
    async with bench.at_work(service_of(bench)):
        await bench.publish(f"{TOPIC}/reported/more", {"a": 1})
        await bench.publish(f"{TOPIC}/reported", {"a": 2})
        ((_, event),) = await bench.until_said("twins", 1, "changed")
    assert event["value"] == {"a": 2}
