from __future__ import annotations

import random
from collections import Counter

import pytest

from gateway.mqtt import Properties, Puback, Publish, Subscribe, Subscription, Unsubscribe
from tests.gateway.server.conftest import Client, ScriptedStore, turn
from tests.harness.waiting import until

GROUP = "$share/g/plant/#"


class Member:
    """One member of a group: what it got and has not acknowledged is its own."""

    def __init__(self, server, name, size=10):
        self.client = Client(server)
        self.client.connect(name, properties=Properties(receive_maximum=size))
        self.acknowledged = []
        self.pending = []

    def join(self):
        self.client.send(Subscribe(1, (Subscription(GROUP, 1),)))

    def hear(self):
        self.pending += [packet for packet in self.client.heard() if isinstance(packet, Publish)]

    def acknowledge(self, count=None):
        self.hear()
        done, self.pending = self.pending[:count], self.pending[len(self.pending[:count]) :]
        self.acknowledged += [(packet.topic, int(packet.payload)) for packet in done]
        self.client.send(*(Puback(packet.packet_id) for packet in done))

    def leave(self, *, politely):
        if politely:
            self.client.send(Unsubscribe(2, (GROUP,)))
        self.client.lose()


@pytest.fixture
def members(edge):
    async def make(count, store=None, **options):
        server = await edge(store, **options)
        made = [Member(server, f"m{number}") for number in range(count)]
        for member in made:
            member.join()
        await turn(5)
        return server, made

    return make


def publisher_of(server):
    publisher = Client(server)
    publisher.connect("p")
    return publisher


async def everything(made, count):
    """Let the members acknowledge until they have that many messages together."""

    def has_all():
        for member in made:
            member.acknowledge()
        return sum(len(member.acknowledged) for member in made) >= count

    await until(has_all, f"{count} messages")
    await turn(20)
    has_all()
    return [one for member in made for one in member.acknowledged]


@pytest.mark.spec("MQTT5-4.8.2-4")
@pytest.mark.parametrize("order", ["ordered", "balanced"])
async def test_each_message_goes_to_one_member(members, order):
    server, made = await members(3, shared_order=order)
    publisher = publisher_of(server)
    for number in range(60):
        publisher.publish(f"plant/d{number % 9}/t", b"%d" % number)
    found = await everything(made, 60)
    assert sorted(number for _, number in found) == list(range(60))
    assert all(member.acknowledged for member in made)


async def test_a_device_stays_with_its_member_in_an_ordered_group(members):
    server, made = await members(3)
    publisher = publisher_of(server)
    for number in range(90):
        publisher.publish(f"plant/d{number % 9}/t", b"%d" % number)
    await everything(made, 90)
    owners = Counter(
        topic for member in made for topic in {topic for topic, _ in member.acknowledged}
    )
    assert set(owners.values()) == {1}
    for member in made:
        for topic in {topic for topic, _ in member.acknowledged}:
            numbers = [number for one, number in member.acknowledged if one == topic]
            assert numbers == sorted(numbers)


async def test_a_balanced_group_gives_each_member_its_turn(members):
    server, made = await members(3, shared_order="balanced")
    publisher = publisher_of(server)
    for number in range(30):
        publisher.publish("plant/d/t", b"%d" % number)
    await everything(made, 30)
    assert [len(member.acknowledged) for member in made] == [10, 10, 10]


async def test_what_a_member_left_unacknowledged_goes_to_another(members):
    server, made = await members(2)
    publisher = publisher_of(server)
    for number in range(20):
        publisher.publish(f"plant/d{number % 8}/t", b"%d" % number)
    await server.ingest.drain()
    await turn(20)
    gone, left = made
    gone.hear()
    assert gone.pending
    gone.client.lose()
    found = await everything([left], 20)
    assert sorted(number for _, number in found) == list(range(20))


async def test_a_group_without_members_waits_for_one(edge):
    server = await edge()
    fields = {"clean_start": False, "properties": Properties(session_expiry_interval_s=60)}
    first = Client(server)
    first.connect("m", **fields)
    first.send(Subscribe(1, (Subscription(GROUP, 1),)))
    await server.ingest.drain()
    first.lose()
    publisher = publisher_of(server)
    publisher.publish("plant/d/t", b"1")
    await server.ingest.drain()
    again = Client(server)
    assert again.connect("m", **fields).session_present
    found = []
    await until(lambda: found.extend(again.deliveries()) or found, "the message")
    assert [packet.payload for packet in found] == [b"1"]


@pytest.mark.parametrize("hole", [0, 3])
@pytest.mark.parametrize("order", ["ordered", "balanced"])
@pytest.mark.parametrize("seed", range(4))
async def test_members_may_come_and_go_and_nothing_is_lost(edge, seed, order, hole):
    """What was acknowledged came once; the rest may come again, to whoever is there."""
    rng = random.Random(seed)
    server = await edge(ScriptedStore(hole), shared_order=order)
    publisher = publisher_of(server)
    keeper = Member(server, "keeper", size=3)
    keeper.join()
    made, gone = [keeper], []
    await turn(5)
    for number in range(120):
        publisher.publish(f"plant/d{rng.randrange(6)}/t", b"%d" % number)
        if rng.random() < 0.1:
            made.append(Member(server, f"m{number}", size=rng.choice([1, 2, 20])))
            made[-1].join()
        if len(made) > 1 and rng.random() < 0.1:
            leaving = made.pop(rng.randrange(1, len(made)))
            leaving.acknowledge(rng.choice([0, 1, None]))
            leaving.leave(politely=rng.random() < 0.5)
            gone.append(leaving)
        await turn(rng.choice([0, 1, 3]))
        rng.choice(made).acknowledge(rng.choice([1, 3, None]))
    left = sum(len(member.acknowledged) for member in gone)
    await everything(made, 120 - left)
    numbers = [number for member in [*made, *gone] for _, number in member.acknowledged]
    assert sorted(numbers) == list(range(120))
