from __future__ import annotations

import random

import pytest

from gateway.clock import ManualClock
from gateway.mqtt import (
    Disconnect,
    Properties,
    ProtocolVersion,
    Puback,
    Publish,
    Unsubscribe,
    matches,
)
from tests.gateway.server.conftest import Client, ScriptedStore, turn
from tests.harness.waiting import until

V3, V5 = ProtocolVersion.V3_1_1, ProtocolVersion.V5
FILTERS = ["plant/#", "plant/+/t", "power/#", "plant/d1/#", "#", "t"]
TOPICS = ["plant/d1/t", "plant/d2/t", "plant/d3/u", "power/m", "t"]


def connected(server, client_id, version=V5, **fields):
    client = Client(server, version)
    client.connect(client_id, **fields)
    return client


def window(size):
    return {"properties": Properties(receive_maximum=size)}


async def published(server, publisher, topic, *payloads, qos=1):
    """Publish and wait until the fan-out has passed it."""
    before = server.ingest.accepted
    publisher.publish(topic, *payloads, qos=qos)
    await until(lambda: server.ingest.accepted == before + len(payloads), "the commit")
    await until(lambda: is_at_the_tail(server), "the fan-out")


def is_at_the_tail(server):
    ends = {slot: log.end_offset for slot, log in server.store._logs.items()}
    return all(
        server.fanout.positions[slot] == end
        or not server.store._logs[slot].batches
        or server.fanout.positions[slot] == server.store._logs[slot].batches[-1].next_offset
        for slot, end in ends.items()
    )


async def test_a_subscriber_gets_what_is_published_after_it_subscribed(edge):
    server = await edge()
    publisher, subscriber = connected(server, "p"), connected(server, "s")
    await published(server, publisher, "power/m", b"before")
    await subscriber.subscribe("power/#")
    await published(server, publisher, "power/m", b"1", b"2")
    await published(server, publisher, "t", b"other")
    assert [packet.payload for packet in subscriber.deliveries()] == [b"1", b"2"]


async def test_nothing_is_delivered_before_it_is_stored(edge):
    server = await edge()
    publisher, subscriber = connected(server, "p"), connected(server, "s")
    await subscriber.subscribe("power/#")
    server.store.is_stuck = True
    publisher.publish("power/m", b"1")
    await turn(20)
    assert (subscriber.heard(), publisher.heard()) == ([], [])
    server.store.unstick()
    await until(lambda: subscriber.deliveries(), "the delivery")


async def test_a_subscriber_can_be_its_own_publisher(edge):
    server = await edge()
    client = connected(server, "c")
    await client.subscribe("power/#", qos=0)
    await client.subscribe("t", qos=0, no_local=True)
    await published(server, client, "power/m", b"1", qos=0)
    await published(server, client, "t", b"2", qos=0)
    assert [packet.payload for packet in client.deliveries()] == [b"1"]


async def test_overlapping_subscriptions_deliver_once(edge):
    server = await edge()
    publisher, subscriber = connected(server, "p"), connected(server, "s")
    await subscriber.subscribe("power/#", "power/m", "+/m")
    await published(server, publisher, "power/m", b"1")
    assert [packet.payload for packet in subscriber.deliveries()] == [b"1"]


async def test_after_an_unsubscribe_nothing_more_comes(edge):
    server = await edge()
    publisher, subscriber = connected(server, "p"), connected(server, "s")
    await subscriber.subscribe("power/#", "t")
    subscriber.send(Unsubscribe(9, ("power/#",)))
    await until(lambda: subscriber.heard(), "the UNSUBACK")
    await published(server, publisher, "power/m", b"1")
    await published(server, publisher, "t", b"2")
    assert [packet.payload for packet in subscriber.deliveries()] == [b"2"]


async def test_each_version_gets_its_own_form(edge):
    server = await edge()
    publisher = connected(server, "p")
    old, new = connected(server, "old", V3), connected(server, "new", V5)
    await old.subscribe("t")
    await new.subscribe("t")
    publisher.send(Publish("t", b"1", 1, 5, properties=Properties(content_type="json")))
    await until(lambda: is_at_the_tail(server) and server.ingest.accepted, "the fan-out")
    (to_old,), (to_new,) = old.deliveries(), new.deliveries()
    assert (to_old.payload, to_old.properties) == (b"1", Properties())
    assert to_new.properties.content_type == "json"


# Behind the tail


async def test_a_full_window_makes_a_subscriber_read_the_log_until_it_is_at_the_tail_again(edge):
    server = await edge()
    publisher, subscriber = connected(server, "p"), connected(server, "s", **window(2))
    await subscriber.subscribe("power/#")
    await published(server, publisher, "power/m", *(b"%d" % n for n in range(7)))
    first = subscriber.deliveries(acknowledge=False)
    assert [packet.payload for packet in first] == [b"0", b"1"]
    assert not subscriber.connection.subscriber.is_live
    subscriber.send(*(Puback(packet.packet_id) for packet in first))
    received = []

    def has_all():
        received.extend(packet.payload for packet in subscriber.deliveries())
        return len(received) == 5 and subscriber.connection.subscriber.is_live

    await until(has_all, "the rest")
    assert received == [b"2", b"3", b"4", b"5", b"6"]
    await published(server, publisher, "power/m", b"live")
    assert [packet.payload for packet in subscriber.deliveries()] == [b"live"]


async def test_a_clogged_socket_costs_the_oldest_messages_of_qos_0_and_no_others(edge):
    server = await edge(outbox_bytes_max=8_192)
    publisher, subscriber = connected(server, "p"), connected(server, "s")
    await subscriber.subscribe("power/#", qos=0)
    await subscriber.subscribe("t", qos=1)
    subscriber.pipe.is_blocked = True
    await published(server, publisher, "power/m", *([b"x" * 1_000] * 5), qos=0)
    assert subscriber.connection.subscriber.is_clogged
    await published(server, publisher, "power/m", b"lost")
    newest = [b"%d" % number * 1_010 for number in range(4)]
    await published(server, publisher, "power/m", *newest)
    await published(server, publisher, "t", b"kept")
    assert subscriber.connection.subscriber.delivery.dropped == 1
    subscriber.pipe.unblock()
    received = []

    def has_last():
        received.extend(packet.payload for packet in subscriber.deliveries())
        return b"kept" in received

    await until(has_last, "the message of QoS 1")
    assert received == [*[b"x" * 1_000] * 5, *newest, b"kept"]


class Reader:
    """A subscriber that acknowledges at random; what it got is compared with the log."""

    def __init__(self, server, rng, name):
        self.server = server
        self.rng = rng
        self.client = connected(server, name, **window(rng.choice([1, 2, 5, 50])))
        self.filters = rng.sample(FILTERS, k=rng.randint(1, 3))
        self.received = []
        self.unacknowledged = []

    async def begin(self):
        early = await self.client.subscribe(*self.filters)
        assert not early
        self.since = {slot: log.end_offset for slot, log in self.server.store._logs.items()}

    def step(self):
        self.hear()
        self.acknowledge(self.rng.choice([0, 0, 1, 3, len(self.unacknowledged)]))

    def finish(self):
        self.hear()
        self.acknowledge(len(self.unacknowledged))

    def hear(self):
        for packet in self.client.heard():
            if isinstance(packet, Publish):
                assert not packet.dup
                self.received.append((packet.topic, packet.payload))
                self.unacknowledged.append(packet.packet_id)

    def acknowledge(self, count):
        acknowledged, self.unacknowledged = self.unacknowledged[:count], self.unacknowledged[count:]
        if acknowledged and self.rng.random() < 0.3:
            self.rng.shuffle(acknowledged)
        self.client.send(*(Puback(packet_id) for packet_id in acknowledged))

    def expected(self):
        """The slow twin: every record since the subscription, asked filter by filter."""
        return {
            slot: [
                (record.topic, record.payload)
                for batch in log.batches
                for record in batch.records()
                if record.offset >= self.since[slot]
                and any(matches(one, record.topic) for one in self.filters)
            ]
            for slot, log in self.server.store._logs.items()
        }

    def by_partition(self):
        """What was received, by where it lies: payloads are unique."""
        places = {
            record.payload: slot
            for slot, log in self.server.store._logs.items()
            for batch in log.batches
            for record in batch.records()
        }
        found = {slot: [] for slot in self.server.store._logs}
        for topic, payload in self.received:
            found[places[payload]].append((topic, payload))
        return found


@pytest.mark.parametrize("hole", [0, 3])
@pytest.mark.parametrize("seed", range(6))
async def test_every_subscriber_gets_each_message_once_and_in_order_however_slow_it_is(
    edge, seed, hole
):
    rng = random.Random(seed)
    server = await edge(ScriptedStore(hole))
    publisher = connected(server, "p")
    readers = [Reader(server, rng, f"s{number}") for number in range(4)]
    for reader in readers:
        await reader.begin()
    number = 0
    for _ in range(60):
        payloads = range(number, number + rng.choice([0, 1, 1, 20]))
        for number in payloads:
            publisher.publish(rng.choice(TOPICS), b"%d" % number)
        number += bool(payloads)
        server.store.is_stuck = server.store.is_stuck or rng.random() < 0.1
        if rng.random() < 0.3:
            server.store.unstick()
        await turn(rng.choice([0, 1, 2, 5]))
        rng.choice(readers).step()
    server.store.unstick()
    await until(lambda: server.ingest.accepted == number, "every commit")
    await until_complete(readers)
    for reader in readers:
        assert reader.by_partition() == reader.expected()


async def until_complete(readers):
    """Wait until every reader has as many messages as it should, and see that no more come."""
    sizes = [sum(map(len, reader.expected().values())) for reader in readers]

    def is_complete():
        for reader in readers:
            reader.finish()
        return sizes == [len(reader.received) for reader in readers]

    await until(is_complete, "every message")
    await turn(20)
    assert is_complete()


# Coming back


def kept(**properties):
    return {
        "clean_start": False,
        "properties": Properties(session_expiry_interval_s=3_600, **properties),
    }


@pytest.mark.parametrize("hole", [0, 3])
@pytest.mark.parametrize("seed", range(5))
async def test_a_client_that_comes_and_goes_misses_nothing(edge, seed, hole):
    rng = random.Random(seed)
    server = await edge(ScriptedStore(hole))
    publisher = connected(server, "p")
    client = connected(server, "s", **kept(receive_maximum=3))
    await client.subscribe("power/#")
    acknowledged, number = [], 0
    for _ in range(40):
        for _ in range(rng.choice([0, 1, 4])):
            number += 1
            publisher.publish("power/m", b"%d" % number)
        publisher.heard()
        await turn(rng.choice([1, 3, 10]))
        if rng.random() < 0.25:
            client.lose()
            await turn(rng.choice([0, 2, 10]))
            client = Client(server, V5)
            assert client.connect("s", **kept(receive_maximum=3)).session_present
        else:
            for packet in client.heard():
                if isinstance(packet, Publish):
                    acknowledged.append(int(packet.payload))
                    client.send(Puback(packet.packet_id))

    def has_all():
        acknowledged.extend(int(packet.payload) for packet in client.deliveries())
        return len(set(acknowledged)) == number

    await until(has_all, "every message")
    assert acknowledged == list(range(1, number + 1))


@pytest.mark.spec("MQTT5-4.4.0-1")
async def test_what_was_not_acknowledged_comes_again_first_with_its_identifier(edge):
    server = await edge()
    publisher = connected(server, "p")
    client = connected(server, "s", **kept())
    await client.subscribe("power/#")
    await published(server, publisher, "power/m", b"1", b"2")
    first = client.deliveries(acknowledge=False)
    client.lose()
    await published(server, publisher, "power/m", b"3")
    again = connected(server, "s", **kept())
    received = []

    def has_all():
        received.extend(again.deliveries())
        return len(received) == 3

    await until(has_all, "the messages")
    assert [(packet.payload, packet.dup) for packet in received] == [
        (b"1", True),
        (b"2", True),
        (b"3", False),
    ]
    assert [packet.packet_id for packet in received[:2]] == [packet.packet_id for packet in first]


async def test_a_message_that_has_expired_is_not_delivered(edge):
    clock = ManualClock(10**12)
    server = await edge(clock=clock)
    publisher = connected(server, "p")
    client = connected(server, "s", **kept())
    await client.subscribe("t")
    client.send(Disconnect())
    for seconds in (5, 50):
        properties = Properties(message_expiry_interval_s=seconds)
        publisher.send(Publish("t", b"%d" % seconds, 1, seconds, properties=properties))
    await until(lambda: server.ingest.accepted == 2, "the commit")
    clock.advance(20_000)
    again = connected(server, "s", **kept())
    received = []

    def has_one():
        received.extend(again.deliveries())
        return received

    await until(has_one, "the message")
    assert [
        (packet.payload, packet.properties.message_expiry_interval_s) for packet in received
    ] == [(b"50", 30)]


# Retained messages


@pytest.mark.spec("MQTT311-3.3.1-6")
async def test_a_new_subscriber_gets_what_is_retained(edge):
    server = await edge()
    publisher = connected(server, "p")
    publisher.publish("power/a", b"old", retain=True)
    publisher.publish("power/a", b"new", retain=True)
    publisher.publish("power/b", b"gone", retain=True)
    publisher.publish("power/b", b"", retain=True)
    await until(lambda: server.ingest.accepted == 4 and is_at_the_tail(server), "the fan-out")
    subscriber = connected(server, "s")
    received = list(await subscriber.subscribe("power/#"))

    def has_it():
        received.extend(subscriber.deliveries())
        return received

    await until(has_it, "the retained message")
    await turn(20)
    received.extend(subscriber.deliveries())
    assert [(packet.topic, packet.payload, packet.retain) for packet in received] == [
        ("power/a", b"new", True)
    ]
