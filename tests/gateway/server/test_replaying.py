from __future__ import annotations

import asyncio
import random

import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable
from gateway.mqtt import (
    Properties,
    ProtocolVersion,
    Puback,
    Publish,
    Subscribe,
    Subscription,
    Unsubscribe,
    matches,
)
from gateway.server.replaying import replay
from gateway.session import Grant, decode_state
from tests.gateway.server.conftest import Client, ScriptedStore, turn
from tests.harness.waiting import until

V3, V5 = ProtocolVersion.V3_1_1, ProtocolVersion.V5


async def filled(server, count, *, topics=("power/m",), clock=None):
    """Publish numbered messages, one commit each; returns the publisher."""
    publisher = Client(server)
    publisher.connect("p")
    for number in range(count):
        publisher.publish(topics[number % len(topics)], b"%d" % number)
        if clock is not None:
            clock.advance(1_000)
        await server.ingest.drain()
    publisher.heard()
    return publisher


async def received(client, count):
    """Wait for that many messages, acknowledging each; returns their payloads."""
    found = []
    await until(
        lambda: (
            found.extend(packet.payload for packet in client.deliveries()) or len(found) >= count
        ),
        f"{count} messages",
    )
    await turn(20)
    return found + [packet.payload for packet in client.deliveries()]


async def subscribed(server, topic_filter, *, version=V3, client_id="s", **fields):
    client = Client(server, version)
    client.connect(client_id, **fields)
    client.send(Subscribe(1, (Subscription(topic_filter, 1),)))
    return client


@pytest.mark.parametrize("version", [V3, V5])
async def test_history_comes_first_and_then_what_is_live(edge, version):
    server = await edge()
    publisher = await filled(server, 5)
    client = await subscribed(server, "$replay/earliest/power/#", version=version)
    assert await received(client, 5) == [b"0", b"1", b"2", b"3", b"4"]
    publisher.publish("power/m", b"live")
    assert await received(client, 1) == [b"live"]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("earliest", [b"0", b"1", b"2", b"3"]),
        ("@2", [b"2", b"3"]),
        ("latest", []),
        ("-2s", [b"2", b"3"]),
        ("2001-09-09T01:46:43Z", [b"3"]),
    ],
)
async def test_history_begins_where_it_was_asked_to(edge, start, expected):
    clock = ManualClock(10**12)
    server = await edge(clock=clock)
    await filled(server, 4, clock=clock)
    client = await subscribed(server, f"$replay/{start}/power/#")
    assert await received(client, len(expected)) == expected


async def test_a_client_of_5_may_ask_beside_the_filter_and_is_told_places(edge):
    server = await edge()
    await filled(server, 2)
    client = Client(server)
    client.connect("s")
    asked = Properties(user_properties=(("penstock-start", "earliest"),))
    client.send(Subscribe(1, (Subscription("power/#", 1),), asked))
    found = []
    await until(lambda: found.extend(client.deliveries()) or len(found) == 2, "the messages")
    offsets = [dict(packet.properties.user_properties)["penstock-offset"] for packet in found]
    assert offsets == ["0", "1"]


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31T23:59:59"])
async def test_a_start_at_the_edge_of_the_calendar_is_no_error_of_ours(edge, text, caplog):
    server = await edge()
    publisher = await filled(server, 1)
    client = await subscribed(server, f"$replay/{text}/power/#")
    await turn(30)
    publisher.publish("power/m", b"live")
    await until(
        lambda: b"live" in [packet.payload for packet in client.deliveries()], "the message"
    )
    assert "Traceback" not in caplog.text


async def test_an_unsubscribe_ends_a_replay(edge):
    server = await edge()
    publisher = await filled(server, 3)
    client = await subscribed(server, "$replay/earliest/power/#")
    await received(client, 3)
    client.send(Unsubscribe(2, ("$replay/earliest/power/#",)))
    publisher.publish("power/m", b"more")
    await server.ingest.drain()
    await turn(20)
    assert client.deliveries() == []
    assert len(server.fanout.tree) == 0


@pytest.mark.parametrize("ended", [0, 1, 2])
async def test_the_end_of_one_subscription_leaves_the_others_for_the_same_topics(edge, ended):
    filters = ["power/#", "$replay/earliest/power/#", "$replay/latest/power/#"]
    server = await edge()
    publisher = await filled(server, 1)
    client = await subscribed(server, filters[0])
    for number, topic_filter in enumerate(filters[1:], 2):
        client.send(Subscribe(number, (Subscription(topic_filter, 1),)))
    await received(client, 1)
    rest = filters[:ended] + filters[ended + 1 :]
    for topic_filter in [filters[ended], *rest]:
        client.send(Unsubscribe(9, (topic_filter,)))
        publisher.publish("power/m", b"more")
        await server.ingest.drain()
        wanted = len(client.connection.session.state.grants_by_filter)
        assert await received(client, 1 if wanted else 0) == ([b"more"] if wanted else [])


async def test_who_leaves_is_no_subscriber_any_more_however_often_it_asked(edge):
    server = await edge()
    await filled(server, 1)
    client = await subscribed(server, "power/#")
    client.send(Subscribe(2, (Subscription("$replay/earliest/power/#", 1),)))
    await received(client, 1)
    client.lose()
    await turn(5)
    assert len(server.fanout.tree) == 0


@pytest.mark.parametrize("hole", [0, 3])
@pytest.mark.parametrize("seed", range(8))
async def test_there_is_no_seam_between_history_and_live(edge, seed, hole):
    """Messages go on coming while history is read, at a random pace: each once, in order."""
    rng = random.Random(seed)
    server = await edge(ScriptedStore(hole))
    topics = ["power/m", "plant/d1/t", "plant/d2/t", "t"]
    publisher = await filled(server, 30, topics=topics)
    pattern = rng.choice(["#", "plant/#", "power/#", "+/+/t"])
    client = Client(server)
    client.connect("s", properties=Properties(receive_maximum=rng.choice([1, 3, 100])))
    client.send(Subscribe(1, (Subscription(f"$replay/earliest/{pattern}", 1),)))
    found, number = [], 30
    for _ in range(30):
        for _ in range(rng.choice([0, 1, 5])):
            publisher.publish(rng.choice(topics), b"%d" % number)
            number += 1
        await turn(rng.choice([0, 1, 3, 10]))
        if rng.random() < 0.5:
            found += [(packet.topic, packet.payload) for packet in client.deliveries()]
    await server.ingest.drain()
    expected = {
        slot: [
            (record.topic, record.payload)
            for batch in log.batches
            for record in batch.records()
            if matches(pattern, record.topic)
        ]
        for slot, log in server.store._logs.items()
    }
    count = sum(map(len, expected.values()))
    await until(
        lambda: (
            found.extend((packet.topic, packet.payload) for packet in client.deliveries())
            or len(found) >= count
        ),
        "every message",
    )
    assert len(found) == count
    for records in expected.values():
        assert [one for one in found if one in set(records)] == records


async def test_a_replay_goes_on_where_it_was_when_its_client_comes_back(edge):
    server = await edge()
    await filled(server, 25)
    fields = {
        "clean_start": False,
        "properties": Properties(session_expiry_interval_s=60, receive_maximum=2),
    }
    client = await subscribed(server, "$replay/earliest/power/#", version=V5, **fields)
    acknowledged = []
    while len(acknowledged) < 25:
        found = list(getattr(client, "heard_behind_connack", []))
        await until(
            lambda client=client, found=found: (
                found.extend(client.heard()) or any(isinstance(packet, Publish) for packet in found)
            ),
            "a message",
        )
        first = next(packet for packet in found if isinstance(packet, Publish))
        acknowledged.append(int(first.payload))
        client.send(Puback(first.packet_id))
        client.lose()
        client = Client(server)
        assert client.connect("s", **fields).session_present
    assert acknowledged == list(range(25))


async def test_a_replay_outlives_a_connection_that_breaks_at_once(edge):
    server = await edge()
    await filled(server, 10)
    fields = {
        "clean_start": False,
        "properties": Properties(session_expiry_interval_s=60, receive_maximum=2),
    }
    client = await subscribed(server, "$replay/earliest/power/#", version=V5, **fields)
    await until(lambda: len(client.deliveries(acknowledge=False)) == 2, "the first messages")
    client.lose()
    for _ in range(2):
        client = Client(server)
        assert client.connect("s", **fields).session_present
        client.lose()
    client = Client(server)
    client.connect("s", **fields)
    assert (
        len(client.connection.session.state.replays) == 1 or client.connection.subscriber.replaying
    )


async def test_a_replay_is_on_disk_with_its_suback(edge):
    server = await edge()
    await filled(server, 3)
    fields = {
        "clean_start": False,
        "properties": Properties(session_expiry_interval_s=60, receive_maximum=1),
    }
    await subscribed(server, "$replay/earliest/power/#", version=V5, **fields)
    await server.ingest.drain()
    ((client_id, encoded),) = await server.store.table("sessions").items()
    assert list(decode_state(client_id, encoded).replays) == ["$replay/earliest/power/#"]


async def test_nothing_is_left_of_a_replay_that_was_ended(edge):
    server = await edge()
    await filled(server, 3)
    client = await subscribed(
        server, "$replay/earliest/power/#", version=V5, properties=Properties(receive_maximum=1)
    )
    await turn(20)
    client.send(Unsubscribe(2, ("$replay/earliest/power/#",)))
    await turn(5)
    subscriber = client.connection.subscriber
    assert (subscriber.replays, subscriber.replaying) == ({}, {})


async def test_asking_again_begins_again(edge):
    server = await edge()
    await filled(server, 4)
    client = await subscribed(
        server, "$replay/earliest/power/#", version=V5, properties=Properties(receive_maximum=2)
    )
    await until(lambda: len(client.deliveries(acknowledge=False)) == 2, "the first messages")
    client.send(Subscribe(2, (Subscription("$replay/@2/power/#", 1),)))
    client.send(Unsubscribe(3, ("$replay/earliest/power/#",)))
    client.send(Puback(1), Puback(2))
    assert await received(client, 2) == [b"2", b"3"]
    client.send(Subscribe(4, (Subscription("$replay/@2/power/#", 1),)))
    assert await received(client, 2) == [b"2", b"3"]


async def test_a_log_that_can_not_be_read_costs_no_history(edge, monkeypatch, caplog):
    server = await edge()
    await filled(server, 2)
    fields = {"clean_start": False, "properties": Properties(session_expiry_interval_s=60)}

    async def refuse(*_):
        raise StoreUnavailable("the disk refuses")

    with monkeypatch.context() as broken:
        broken.setattr(server.store, "offset_at", refuse)
        client = await subscribed(server, "$replay/-1h/power/#", version=V5, **fields)
        await until(lambda: "can't replay" in caplog.text, "the error")
        client.lose()
    client = Client(server)
    client.connect("s", **fields)
    assert await received(client, 2) == [b"0", b"1"]


async def test_a_replay_goes_on_in_a_log_that_has_changed_meanwhile(edge):
    """Retention has removed some of it, a stream is gone and another is there."""
    server = await edge()
    await filled(server, 6)
    log = server.store._logs["power", 0]
    del log.batches[:4]
    log.start_offset = 4
    client = Client(server)
    client.connect("s")
    subscriber, grant = client.connection.subscriber, Grant("$replay/earliest/power/#", 1)
    positions = {("power", 0): 1, ("gone", 0): 3}
    task = asyncio.ensure_future(replay(server.fanout, subscriber, grant, positions))
    assert await received(client, 2) == [b"4", b"5"]
    await task
    assert len(server.fanout.tree) == 1


async def test_a_subscriber_that_lags_joins_the_tail_only_when_it_is_there(edge):
    server = await edge()
    publisher = await filled(server, 3)
    client = Client(server)
    client.connect("s", properties=Properties(receive_maximum=1))
    client.send(Subscribe(1, (Subscription("t", 1),)))
    publisher.publish("t", b"a", b"b", b"c")
    await until(lambda: not client.connection.subscriber.is_live, "the lag")
    client.send(Subscribe(2, (Subscription("$replay/earliest/power/#", 1),)))
    found = await received(client, 6)
    assert [one for one in found if one.isdigit()] == [b"0", b"1", b"2"]
    assert [one for one in found if one.isalpha()] == [b"a", b"b", b"c"]
    publisher.publish("power/m", b"live")
    assert await received(client, 1) == [b"live"]
