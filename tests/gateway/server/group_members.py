"""Members of a shared subscription that a test drives, and what they heard together."""

from __future__ import annotations

from gateway.mqtt import Properties, Puback, Publish, Subscribe, Subscription, Unsubscribe
from tests.gateway.server.conftest import Client, turn
from tests.harness.waiting import until

GROUP = "$share/g/plant/#"


class Member:
    """One member of a group: what it got and has not acknowledged is its own."""

    def __init__(self, server, name, size=10):
        self.name = name
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


async def heard(member, *payloads):
    """Wait until a member has these messages unacknowledged, and no others."""

    def has_them():
        member.hear()
        return [packet.payload for packet in member.pending] == list(payloads)

    await until(has_them, f"{payloads}")
    await turn(10)
    assert has_them()


def total(made):
    return sum(len(member.pending) for member in made)


class Witness:
    """Hears every member before anything is done, and so knows in which order events came first."""

    def __init__(self, keeper):
        self.made = [keeper]
        self.numbers_by_topic = {}
        self.acknowledged = []

    def hear(self):
        for member in self.made:
            before = len(member.pending)
            member.hear()
            for packet in member.pending[before:]:
                numbers = self.numbers_by_topic.setdefault(packet.topic, [])
                if int(packet.payload) not in numbers:
                    assert int(packet.payload) > max(numbers, default=-1)
                    numbers.append(int(packet.payload))

    def acknowledge(self, member, count):
        member.acknowledged.clear()
        member.acknowledge(count)
        self.acknowledged += [number for _, number in member.acknowledged]

    async def act(self, rng, join):
        self.hear()
        if rng.random() < 0.12:
            self.made.append(join())
        elif len(self.made) > 1 and rng.random() < 0.12:
            self.made.pop(rng.randrange(1, len(self.made))).leave(politely=False)
        else:
            self.acknowledge(rng.choice(self.made), rng.choice([1, 2, 20]))
        await turn(rng.choice([0, 1, 4]))
