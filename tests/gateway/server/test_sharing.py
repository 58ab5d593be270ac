from __future__ import annotations

import random
from collections import Counter

import pytest

from gateway.errors import StoreUnavailable
from gateway.mqtt import Properties, Puback, Subscribe, Subscription, Unsubscribe
from gateway.server import sharing
from gateway.store import Put
from tests.gateway.server.conftest import Client, ScriptedStore, turn
from tests.gateway.server.group_members import (
    GROUP,
    Member,
    Witness,
    everything,
    heard,
    publisher_of,
    total,
)
from tests.harness.waiting import until

TABLE = "shares"
KEPT = {"clean_start": False, "properties": Properties(session_expiry_interval_s=60)}


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
        assert all(group.snapshot().unaccounted == 0 for group in groups_of(server))
    left = sum(len(member.acknowledged) for member in gone)
    await everything(made, 120 - left)
    numbers = [number for member in [*made, *gone] for _, number in member.acknowledged]
    assert sorted(numbers) == list(range(120))
    (group,) = groups_of(server)
    saved = group.snapshot()
    assert (saved.tally.matched, saved.tally.given) == (120, 120 - len(saved.unacknowledged))


def groups_of(server):
    return server.hub.shared._groups.values()


# Order and room


def weightiest(device, *names):
    """The member to which an ordered group gives a device that nobody has."""
    return max(names, key=lambda name: sharing._weight(device, name))


def device_of(name, *others):
    """A device that belongs to one member among some."""
    names = (f"d{number}" for number in range(1_000))
    return next(one for one in names if weightiest(one, name, *others) == name)


async def test_a_device_moves_to_a_new_member_only_when_nothing_of_it_is_unacknowledged(edge):
    server = await edge()
    publisher, first, second = publisher_of(server), Member(server, "m0"), Member(server, "m1")
    topic = f"plant/{device_of('m1', 'm0')}/t"
    first.join()
    publisher.publish(topic, b"1")
    await heard(first, b"1")
    second.join()
    publisher.publish(topic, b"2")
    await heard(first, b"1", b"2")
    first.acknowledge()
    publisher.publish(topic, b"3")
    await heard(second, b"3")
    await heard(first)


async def test_what_comes_back_goes_before_an_event_that_was_waiting(edge):
    server = await edge()
    publisher, first, second = publisher_of(server), Member(server, "m0", 1), Member(server, "m1")
    first.join()
    second.join()
    topic = f"plant/{device_of('m0', 'm1')}/t"
    publisher.publish(topic, b"1", b"2", b"3")
    await heard(first, b"1")
    first.leave(politely=False)
    await heard(second, b"1", b"2", b"3")


async def test_what_comes_back_from_several_members_goes_out_in_its_order(edge):
    server = await edge()
    publisher = publisher_of(server)
    first, second, third = Member(server, "m0"), Member(server, "m1", 1), Member(server, "m2", 1)
    first.join()
    topic = f"plant/{device_of('m1', 'm2')}/t"
    publisher.publish(topic, b"1", b"2")
    await heard(first, b"1", b"2")
    second.join()
    third.join()
    first.leave(politely=False)
    await heard(second, b"1")
    second.leave(politely=True)
    await heard(third, b"1")
    third.acknowledge()
    await heard(third, b"2")


async def test_a_member_whose_window_is_full_is_passed_over_in_a_balanced_group(edge):
    server = await edge(shared_order="balanced")
    publisher, small, large = publisher_of(server), Member(server, "m0", 1), Member(server, "m1")
    small.join()
    large.join()
    publisher.publish("plant/d/t", *(b"%d" % number for number in range(9)))
    await heard(small, b"0")
    await heard(large, *(b"%d" % number for number in range(1, 9)))


async def test_a_socket_that_is_full_is_passed_over_too(edge):
    server = await edge(shared_order="balanced")
    publisher, full, other = publisher_of(server), Member(server, "m0"), Member(server, "m1")
    full.join()
    other.join()
    full.client.connection.pause_writing()
    publisher.publish("plant/d/t", b"0", b"1")
    await heard(other, b"0", b"1")


async def test_an_ordered_group_waits_for_the_member_that_has_the_device(edge):
    server = await edge()
    publisher, owner, other = publisher_of(server), Member(server, "m0", 2), Member(server, "m1")
    owner.join()
    other.join()
    topic = f"plant/{device_of('m0', 'm1')}/t"
    publisher.publish(topic, *(b"%d" % number for number in range(5)))
    await heard(owner, b"0", b"1")
    owner.acknowledge()
    await heard(owner, b"2", b"3")
    owner.acknowledge(1)
    await heard(owner, b"3", b"4")
    await heard(other)


async def test_messages_of_qos_0_go_round_without_acknowledgement(edge):
    server = await edge()
    publisher, made = publisher_of(server), [Member(server, f"m{number}") for number in range(2)]
    for member in made:
        member.join()
    for number in range(40):
        publisher.publish(f"plant/d{number % 8}/t", b"%d" % number, qos=0)
    await until(lambda: [member.hear() for member in made] and total(made) == 40, "them all")
    for member in made:
        devices = {packet.topic for packet in member.pending}
        assert devices
        assert all(weightiest(name[6:-2], "m0", "m1") == member.name for name in devices)


@pytest.mark.parametrize("hole", [0, 3])
@pytest.mark.parametrize("seed", range(6))
async def test_an_ordered_group_keeps_the_order_of_each_device_whoever_comes_and_goes(
    edge, seed, hole
):
    rng = random.Random(seed)
    server = await edge(ScriptedStore(hole))
    publisher = publisher_of(server)
    names = (f"m{number}" for number in range(1_000))

    def join(name="keeper"):
        member = Member(server, name, size=rng.choice([1, 2, 20]))
        member.join()
        return member

    witness = Witness(join())
    for number in range(100):
        publisher.publish(f"plant/d{rng.randrange(5)}/t", b"%d" % number)
        await witness.act(rng, lambda: join(next(names)))
    while len(witness.acknowledged) < 100:
        await until(lambda: witness.hear() or total(witness.made), "a message")
        for member in witness.made:
            witness.hear()
            witness.acknowledge(member, 20)
    assert sorted(witness.acknowledged) == list(range(100))


# What is durable


async def crashed(edge, server):
    """Another run over what the first has on disk, which ends without a word."""
    await server.ingest.drain()
    groups = server.hub.shared._groups.values()
    for task in [*server.tasks, *(group._task for group in groups if group._task)]:
        task.cancel()
    await turn(3)
    return await edge(server.store)


async def rows(server):
    await server.ingest.drain()
    return [name for name, _ in await server.store.table(TABLE).items()]


async def kept_member(server, name="m"):
    client = Client(server)
    client.connect(name, **KEPT)
    await client.subscribe(GROUP)
    return client


async def test_after_a_crash_a_group_goes_on_where_it_stood(edge):
    server = await edge()
    client, publisher = await kept_member(server), publisher_of(server)
    publisher.publish("plant/d/t", b"1", b"2", b"3")
    received = []
    await until(
        lambda: received.extend(client.deliveries(acknowledge=False)) or len(received) == 3, "them"
    )
    client.send(Puback(received[0].packet_id))
    server.hub.sweep()
    again = await crashed(edge, server)
    publisher_of(again).publish("plant/d/t", b"4")
    other = Member(again, "other")
    other.join()
    await heard(other, b"2", b"3", b"4")
    back = Client(again)
    assert back.connect("m", **KEPT).session_present
    await turn(20)
    assert back.heard_behind_connack + back.heard() == []


async def test_what_was_acknowledged_before_the_last_save_does_not_come_again(edge):
    server = await edge()
    client, publisher = await kept_member(server), publisher_of(server)
    publisher.publish("plant/d/t", b"1")
    received = []
    await until(lambda: received.extend(client.deliveries(acknowledge=False)) or received, "it")
    server.hub.sweep()
    client.send(Puback(received[0].packet_id))
    server.hub.sweep()
    again = await crashed(edge, server)
    other = Member(again, "other")
    other.join()
    publisher_of(again).publish("plant/d/t", b"2")
    await heard(other, b"2")


async def test_the_last_session_that_lets_go_ends_a_group(edge):
    server = await edge()
    first, second = await kept_member(server, "m0"), await kept_member(server, "m1")
    server.hub.sweep()
    assert await rows(server) == [GROUP]
    first.send(Unsubscribe(9, (GROUP,)))
    assert await rows(server) == [GROUP]
    second.lose()
    assert await rows(server) == [GROUP]
    again = Client(server)
    again.connect("m1")
    assert await rows(server) == []
    server.hub.sweep()
    assert await rows(server) == []


async def test_a_group_that_a_crash_has_left_to_nobody_ends(edge):
    server = await edge()
    client = Client(server)
    client.connect("brief")
    await client.subscribe(GROUP)
    server.hub.sweep()
    again = await crashed(edge, server)
    assert await rows(again) == [GROUP]
    again.hub.sweep()
    assert await rows(again) == []


async def test_a_group_whose_place_can_not_be_read_begins_anew(edge, caplog):
    store = ScriptedStore()
    await store.append([], [Put(TABLE, GROUP, b"\xff")])
    server = await edge(store)
    assert f"'{GROUP}' begins anew" in caplog.text
    client, publisher = await kept_member(server), publisher_of(server)
    publisher.publish("plant/d/t", b"1")
    await until(client.deliveries, "the message")


async def test_a_group_survives_a_log_that_can_not_be_read_now(edge, monkeypatch, caplog):
    monkeypatch.setattr(sharing, "RETRY_S", 0)
    server = await edge()
    publisher, first, other = publisher_of(server), Member(server, "m0"), Member(server, "m1")
    read, is_broken = server.store.fetch, True

    async def fetch(*arguments, **limits):
        if is_broken:
            raise StoreUnavailable("the disk refuses")
        return await read(*arguments, **limits)

    first.join()
    publisher.publish("plant/d/t", b"1")
    await heard(first, b"1")
    other.join()
    monkeypatch.setattr(server.store, "fetch", fetch)
    first.leave(politely=False)
    await until(lambda: "is tried again" in caplog.text, "the error")
    is_broken = False
    await heard(other, b"1")
