from __future__ import annotations

from gateway.mqtt import Properties, encode_properties
from gateway.routing import Retained
from gateway.server.retained_delivery import outgoing_of
from gateway.store import Reference, encode_reference
from tests.gateway.server.conftest import Client
from tests.harness.waiting import until


def test_a_retained_message_goes_out_as_it_was_published():
    found = outgoing_of("a/b", Retained(b"on", 3, b"ignored", "c", 7), b"own")
    assert (found.topic, found.payload, found.flags, found.properties, found.arrival_ms) == (
        b"a/b",
        b"on",
        3,
        b"own",
        7,
    )


def test_a_reference_goes_out_with_its_digest():
    payload = encode_reference(Reference("ab" * 32, 5_000))
    found = outgoing_of("a/b", Retained(payload, 0x13, b"", "c", 7), b"")
    told = Properties(user_properties=(("penstock-blob", "ab" * 32),))
    assert found.properties == encode_properties(told)


async def test_a_client_with_a_full_socket_gets_what_is_retained_when_it_reads(edge):
    server = await edge()
    publisher, subscriber = Client(server), Client(server)
    publisher.connect("p")
    for number in range(600):
        publisher.publish(f"power/d{number}/x", b"%d" % number, retain=True)
    await until(lambda: len(server.retained) == 600, "the retained messages")
    subscriber.connect("s")
    found = await subscriber.subscribe("power/#", qos=0)

    def has_all():
        found.extend(subscriber.deliveries())
        return len(found) >= 600

    await until(has_all, "600 messages")
    assert sorted(int(packet.payload) for packet in found) == list(range(600))
