from __future__ import annotations

import asyncio

import orjson
import pytest

from gateway.devices import COMMANDS_TABLE, QUEUES_TABLE, RECENT_TABLE, Wanted
from gateway.errors import ChangeRefused, StoreUnavailable
from gateway.mqtt import Properties, decode_publish_properties, encode_properties
from gateway.pipeline.devices import commands
from gateway.pipeline.devices.commands import CommandService, new_command
from tests.harness.device_services import NOW_MS, Bench
from tests.harness.waiting import until

HEARD = ("command", "pump-7")


@pytest.fixture
async def bench():
    return await Bench().open()


def service_of(bench):
    return CommandService(bench.around.is_heard)


def sending(service, command_id="c1", **wanted):
    async def act(turn):
        wish = Wanted("reboot", **wanted)
        return await service.send(
            new_command("pump-7", command_id, wish, "console", turn.now_ms), turn
        )

    return act


async def requests(bench):
    return [topic.rpartition("/")[2] for topic, _ in await bench.said("commands", "request")]


async def states(bench):
    return [(event["id"], event["state"]) for _, event in await bench.said("commands", "event")]


async def test_a_device_that_listens_gets_the_request_and_its_answer_is_told(bench):
    bench.heard.add(HEARD)
    service = service_of(bench)
    async with bench.at_work(service) as loop:
        await loop.ask(sending(service, payload={"in": 5}))
        ((topic, request),) = await bench.said("commands", "request")
        await bench.publish("command/pump-7/response/c1", {"status": 200, "result": "ok"})
        events = await bench.until_said("commands", 2, "event")
    assert topic == "command/pump-7/request/c1"
    assert request == {"name": "reboot", "payload": {"in": 5}, "expires": NOW_MS + 30_000}
    assert await states(bench) == [("c1", "sent"), ("c1", "answered")]
    assert (events[1][1]["status"], events[1][1]["result"]) == (200, "ok")
    assert await bench.store.entry(QUEUES_TABLE, "pump-7") is None


async def test_the_request_says_in_mqtt_5_where_the_answer_goes(bench):
    bench.heard.add(HEARD)
    service = service_of(bench)
    async with bench.at_work(service) as loop:
        await loop.ask(sending(service, timeout_ms=1_500))
    record = next(one for one in await bench.records("commands") if "/request/" in one.topic)
    properties = decode_publish_properties(record.properties)
    assert properties.response_topic == "command/pump-7/response/c1"
    assert properties.correlation_data == b"c1"
    assert properties.message_expiry_interval_s == 2
    assert record.qos == 1


async def test_a_sleeping_device_gets_what_waits_in_order_when_it_listens(bench):
    service = service_of(bench)
    async with bench.at_work(service) as loop:
        for number in range(3):
            await loop.ask(sending(service, f"c{number}"))
        assert await requests(bench) == []
        bench.heard.add(HEARD)
        loop.note_arrival("pump-7")
        await bench.until_said("commands", 3, "request")
        loop.note_arrival("pump-7")
        await loop.ask(sending(service, "c3"))
    assert await requests(bench) == ["c0", "c1", "c2", "c3"]


async def test_one_that_allows_it_is_sent_again_when_the_device_is_back(bench):
    bench.heard.add(HEARD)
    service = service_of(bench)
    async with bench.at_work(service) as loop:
        await loop.ask(sending(service, deliveries=2))
        for _ in range(3):
            loop.note_arrival("pump-7")
            await loop.ask(sending(service))
    assert await requests(bench) == ["c1", "c1"]


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_the_same_identifier_is_one_command_for_ever(bench, is_restarted):
    bench.heard.add(HEARD)
    service = service_of(bench)
    async with bench.at_work(service):
        await bench.publish("command/pump-7/send/c1", {"name": "reboot"}, client="app")
        await bench.until_said("commands", 1, "request")
        await bench.publish("command/pump-7/response/c1", {"status": 200})
        await bench.until_said("commands", 2, "event")
        if not is_restarted:
            await bench.publish("command/pump-7/send/c1", {"name": "reboot"}, client="app")
            await bench.until_said("commands", 3, "event")
    if is_restarted:
        async with bench.at_work(service_of(bench)):
            await bench.publish("command/pump-7/send/c1", {"name": "reboot"}, client="app")
            await bench.until_said("commands", 3, "event")
    assert await requests(bench) == ["c1"]
    assert [state for _, state in await states(bench)] == ["sent", "answered", "answered"]


async def test_what_waits_too_long_expires_and_what_is_not_answered_times_out(bench):
    service = service_of(bench)
    async with bench.at_work(service) as loop:
        await loop.ask(sending(service, "queued", ttl_ms=1_000))
        bench.heard.add(HEARD)
        await loop.ask(sending(service, "out", timeout_ms=2_000))
        bench.clock.advance(999)
        await loop.ask(sending(service, "out"))
        assert len(await states(bench)) == 2
        bench.clock.advance(1)
        await loop.ask(sending(service, "out"))
        bench.clock.advance(1_000)
        await loop.ask(sending(service, "out"))
    assert (await states(bench))[2:] == [("queued", "expired"), ("out", "timed_out")]


async def test_now_or_never_expires_at_once_when_nobody_listens(bench):
    service = service_of(bench)
    async with bench.at_work(service) as loop:
        await loop.ask(sending(service, ttl_ms=0))
        await bench.until_said("commands", 2, "event")
    assert await states(bench) == [("c1", "queued"), ("c1", "expired")]


async def test_time_goes_on_while_the_gateway_is_off(bench):
    service = service_of(bench)
    async with bench.at_work(service) as loop:
        await loop.ask(sending(service, ttl_ms=1_000))
    bench.clock.advance(5_000)
    bench.heard.add(HEARD)
    async with bench.at_work(service_of(bench)) as loop:
        loop.note_arrival("pump-7")
        await bench.until_said("commands", 2, "event")
    assert await states(bench) == [("c1", "queued"), ("c1", "expired")]
    assert await requests(bench) == []


async def test_an_application_hears_of_the_end_at_its_own_topic(bench):
    bench.heard.add(HEARD)
    properties = Properties(response_topic="reply/app-1", correlation_data=b"42")
    async with bench.at_work(service_of(bench)):
        await bench.publish(
            "command/pump-7/send/c1",
            {"name": "reboot"},
            properties=encode_properties(properties),
        )
        await bench.until_said("commands", 1, "request")
        await bench.publish("command/pump-7/response/c1", {"status": 500})

        async def is_told():
            return len(await bench.records("others")) == 1

        await until(is_told, "the reply")
    (reply,) = await bench.records("others")
    assert (reply.topic, orjson.loads(reply.payload)["state"]) == ("reply/app-1", "refused")
    assert decode_publish_properties(reply.properties).correlation_data == b"42"


async def test_nobody_is_told_at_a_topic_that_is_not_for_replies(bench):
    bench.heard.add(HEARD)
    properties = encode_properties(Properties(response_topic="alarms/x"))
    async with bench.at_work(service_of(bench)):
        await bench.publish("command/pump-7/send/c1", {"name": "a"}, properties=properties)
        await bench.until_said("commands", 1, "request")
        await bench.publish("command/pump-7/response/c1", {"status": 500})
        await bench.until_said("commands", 2, "event")
    assert await bench.records("others") == []


@pytest.mark.parametrize(
    ("topic", "payload", "complaint"),
    [
        ("command/pump-7/send/c1", b"{", "unexpected end"),
        ("command/pump-7/send/c1", {"name": ""}, "printable"),
        ("command/pump-7/send/a/b", {"name": "x"}, "can't name a command"),
        ("command/pump-7/send", {"name": "x"}, "can't name a command"),
    ],
)
async def test_what_cannot_be_is_rejected_with_an_event(bench, topic, payload, complaint):
    async with bench.at_work(service_of(bench)):
        await bench.publish(topic, payload, client="app")
        ((_, event),) = await bench.until_said("commands", 1, "event")
    assert (event["state"], event["by"]) == ("rejected", "app")
    assert complaint in event["error"]
    assert await bench.store.entries(COMMANDS_TABLE) == []


async def test_only_so_many_may_wait(bench, monkeypatch):
    service = service_of(bench)
    async with bench.at_work(service) as loop:
        for number in range(50):
            await loop.ask(sending(service, f"c{number}"))
        with pytest.raises(ChangeRefused, match="has 50 commands"):
            await loop.ask(sending(service, "c50"))
        monkeypatch.setattr(commands, "PENDING_TOTAL_MAX", 50)
        with pytest.raises(ChangeRefused, match="50 commands wait already"):
            await loop.ask(sending(service, "c50"))


async def test_a_pending_command_can_be_cancelled_once(bench):
    service = service_of(bench)

    async def cancel(turn):
        return await service.cancel("pump-7", "c1", turn)

    async with bench.at_work(service) as loop:
        await loop.ask(sending(service))
        assert (await loop.ask(cancel)).state == "cancelled"
        with pytest.raises(ChangeRefused, match="it is cancelled"):
            await loop.ask(cancel)
        await loop.ask(sending(service, "c2"))
        await bench.publish("command/pump-7/cancel/c2", b"")
        await bench.until_said("commands", 4, "event")
        bench.heard.add(HEARD)
        loop.note_arrival("pump-7")
        await loop.ask(sending(service, "c3"))
    assert await requests(bench) == ["c3"]


async def test_an_answer_to_nothing_changes_nothing(bench):
    service = service_of(bench)
    async with bench.at_work(service) as loop:
        await loop.ask(sending(service))
        for command_id in ("c1", "other", "a/b"):
            await bench.publish(f"command/pump-7/response/{command_id}", {"status": 200})
        await bench.publish("command/pump-7/cancel/c1", b"")
        await bench.until_said("commands", 2, "event")
    assert await states(bench) == [("c1", "queued"), ("c1", "cancelled")]


async def test_ended_commands_are_forgotten_oldest_first(bench, monkeypatch):
    monkeypatch.setattr(commands, "RECENT_MAX", 2)
    bench.heard.add(HEARD)
    service = service_of(bench)
    async with bench.at_work(service) as loop:
        for number in range(4):
            await loop.ask(sending(service, f"c{number}"))
            await bench.publish(f"command/pump-7/response/c{number}", {"status": 200})
            await bench.until_said("commands", 2 * number + 2, "event")
    kept = [key for key, _ in await bench.store.entries(COMMANDS_TABLE)]
    assert kept == ["pump-7/c2", "pump-7/c3"]


async def test_who_waits_hears_what_became_of_it_or_that_the_gateway_stops(bench):
    bench.heard.add(HEARD)
    service = service_of(bench)
    async with bench.at_work(service) as loop:
        command = await loop.ask(sending(service))
        outcome = service.outcome(command)
        given_up = service.outcome(command)
        given_up.cancel()
        await bench.publish("command/pump-7/response/c1", {"status": 200})
        assert (await outcome).state == "answered"
        assert (await service.outcome(await loop.ask(sending(service)))).state == "answered"
        waiting = service.outcome(await loop.ask(sending(service, "c2")))
    with pytest.raises(StoreUnavailable, match="the gateway stops"):
        await waiting


async def test_a_command_that_nobody_can_read_leaves_the_queue(bench):
    service = service_of(bench)
    async with bench.at_work(service) as loop:
        await loop.ask(sending(service))
    await bench.store.table(COMMANDS_TABLE).put("pump-7/c1", b"\xc1")
    async with bench.at_work(service_of(bench)):

        async def is_gone():
            return await bench.store.entry(QUEUES_TABLE, "pump-7") is None

        await until(is_gone, "the queue")
    await asyncio.sleep(0)
    assert await bench.store.entry(RECENT_TABLE, "pump-7") is None
