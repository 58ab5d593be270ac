from __future__ import annotations

import random

import pytest

from gateway.clock import ManualClock
from gateway.mqtt import Properties, Puback, Subscribe, Subscription
from gateway.server.claims import Claims, reference_properties
from gateway.server.spilling import ClaimLimits
from gateway.session import Outgoing
from gateway.store import BlobStore, Reference, decode_reference, encode_reference
from tests.gateway.server.conftest import Client, kept, stored
from tests.harness.waiting import until

SMALL = b"small"
LARGE = random.Random(5).randbytes(300_000)
SIZES = [len(SMALL), len(LARGE)]


@pytest.fixture
async def large_edge(edge, tmp_path):
    """A server that keeps payloads beyond 1,000 bytes as blobs."""

    async def start(**options):
        server = await edge(**options)
        server.blobs = BlobStore(tmp_path, ManualClock(10**12))
        server.keep_large(server.blobs, ClaimLimits(bytes_default=1_000))
        return server

    return start


async def collect(client, count):
    found = []

    def has_all():
        found.extend(client.deliveries())
        return len(found) >= count

    await until(has_all, f"{count} messages")
    return [packet.payload for packet in found]


async def test_a_subscriber_gets_large_payloads_whole_and_in_order(large_edge):
    server = await large_edge()
    subscriber, publisher = Client(server), Client(server)
    subscriber.connect("s")
    publisher.connect("p")
    await subscriber.subscribe("power/#")
    publisher.publish("power/d/x", SMALL, LARGE, b"2", LARGE[::-1], b"3")
    assert await collect(subscriber, 5) == [SMALL, LARGE, b"2", LARGE[::-1], b"3"]
    assert max(map(len, stored(server))) < 200
    publisher.publish("power/d/x", b"live again")
    assert await collect(subscriber, 1) == [b"live again"]


@pytest.mark.parametrize("qos", [0, 2])
async def test_every_qos_brings_the_whole_payload(large_edge, qos):
    server = await large_edge()
    subscriber, publisher = Client(server), Client(server)
    subscriber.connect("s")
    publisher.connect("p")
    await subscriber.subscribe("power/#", qos=qos)
    publisher.publish("power/d/x", LARGE, qos=1 if qos else 0)
    assert await collect(subscriber, 1) == [LARGE]


async def test_a_client_that_reads_slowly_holds_little_in_memory(large_edge):
    server = await large_edge()
    subscriber, publisher = Client(server), Client(server)
    subscriber.connect("s")
    publisher.connect("p")
    await subscriber.subscribe("power/#")
    subscriber.pipe.is_blocked = True
    publisher.publish("power/d/x", LARGE * 3)
    await until(lambda: subscriber.pipe._is_clogged, "a full socket")
    assert len(subscriber.pipe._unread) < 300_000
    subscriber.pipe.unblock()
    assert await collect(subscriber, 1) == [LARGE * 3]


async def test_what_was_not_acknowledged_is_streamed_again(large_edge):
    server = await large_edge()
    subscriber, publisher = Client(server), Client(server)
    subscriber.connect("s", **kept())
    publisher.connect("p")
    await subscriber.subscribe("power/#")
    publisher.publish("power/d/x", LARGE, SMALL)
    await until(
        lambda: len(subscriber.deliveries(acknowledge=False)) or subscriber.pipe.written,
        "a message",
    )
    subscriber.lose()
    again = Client(server)
    again.connect("s", **kept())
    assert await collect(again, 2) == [LARGE, SMALL]


async def test_a_retained_payload_comes_whole_to_who_subscribes_later(large_edge):
    server = await large_edge()
    publisher = Client(server)
    publisher.connect("p")
    publisher.publish("power/d/x", LARGE, retain=True)
    await until(lambda: len(server.retained), "the retained message")
    subscriber = Client(server)
    subscriber.connect("s")
    early = await subscriber.subscribe("power/#")
    found = [packet.payload for packet in early] or await collect(subscriber, 1)
    assert found == [LARGE]
    assert server.retained.bytes < 1_000


async def test_a_replay_and_a_group_bring_whole_payloads(large_edge):
    server = await large_edge()
    publisher, member, reader = Client(server), Client(server), Client(server)
    for name, client in [("p", publisher), ("m", member), ("r", reader)]:
        client.connect(name)
    await member.subscribe("$share/g/power/#")
    publisher.publish("power/d/x", SMALL, LARGE)
    assert await collect(member, 2) == [SMALL, LARGE]
    early = await reader.subscribe("$replay/earliest/power/#")
    reader.send(*(Puback(packet.packet_id) for packet in early))
    found = [packet.payload for packet in early]
    assert found + await collect(reader, 2 - len(found)) == [SMALL, LARGE]


async def test_who_asks_for_references_gets_them_and_is_told_so(large_edge):
    server = await large_edge()
    subscriber, publisher = Client(server), Client(server)
    subscriber.connect("s")
    publisher.connect("p")
    wish = Properties(user_properties=(("penstock-blobs", "reference"),))
    subscriber.send(Subscribe(9, (Subscription("power/#", 1),), wish))
    publisher.publish("power/d/x", LARGE)
    found = []
    await until(lambda: found.extend(subscriber.deliveries()) or found, "a message")
    reference = decode_reference(found[0].payload)
    assert server.blobs.get(reference.digest) == LARGE
    assert found[0].properties.user_properties == (("penstock-blob", reference.digest),)


async def test_a_blob_that_is_gone_costs_its_message_only(large_edge, caplog):
    server = await large_edge()
    subscriber, publisher = Client(server), Client(server)
    subscriber.connect("s")
    publisher.connect("p")
    publisher.publish("power/d/x", LARGE, SMALL)
    await until(lambda: len(stored(server)) == 2, "the records")
    reference = decode_reference(stored(server)[0])
    server.blobs.path_of(reference.digest).write_bytes(b"other")
    early = await subscriber.subscribe("$replay/earliest/power/#")
    found = [packet.payload for packet in early] or await collect(subscriber, 1)
    assert found == [SMALL]
    assert "gone or damaged" in caplog.text


async def test_who_takes_only_small_packets_is_not_sent_large_ones(large_edge):
    server = await large_edge()
    subscriber, publisher = Client(server), Client(server)
    subscriber.connect("s", properties=Properties(maximum_packet_size=10_000))
    publisher.connect("p")
    await subscriber.subscribe("power/#")
    publisher.publish("power/d/x", LARGE, SMALL)
    assert await collect(subscriber, 1) == [SMALL]


async def test_a_blob_is_proved_once_for_all_who_want_it(tmp_path):
    blobs, clock = BlobStore(tmp_path, ManualClock(10**12)), ManualClock(10**12)
    claims = Claims(blobs, clock)
    reference = encode_reference(Reference(blobs.put(LARGE), len(LARGE)))
    message = Outgoing(b"t", reference, 0x12, b"", 0)
    whole = await claims.resolve(message)
    assert (whole.streamed_bytes, whole.payload, whole.topic) == (len(LARGE), b"", b"t")
    assert await claims.piece(whole.digest, 299_990, 100) == LARGE[-10:]
    blobs.path_of(whole.digest).unlink()
    assert await claims.resolve(message) is not None
    clock.advance(600_001)
    assert await claims.resolve(message) is None
    assert await claims.resolve(Outgoing(b"t", b"{}", 0x12, b"", 0)) is None
    nonsense = encode_reference(Reference("no digest", 1))
    assert await claims.resolve(Outgoing(b"t", nonsense, 0x12, b"", 0)) is None
    assert b"penstock-blob" in reference_properties(reference)
