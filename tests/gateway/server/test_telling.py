from __future__ import annotations

from tests.gateway.server.conftest import Client, stored
from tests.harness.waiting import until


async def test_what_is_told_reaches_who_listens_and_no_log(edge):
    server = await edge()
    listener, other = Client(server), Client(server)
    listener.connect("l")
    other.connect("o")
    await listener.subscribe("ota/d/chunk/+")
    await other.subscribe("ota/e/#")
    server.tell("ota/d/chunk/0", b"bytes")
    found = []
    await until(lambda: found.extend(listener.deliveries()) or found, "a message")
    assert [(one.topic, one.payload, one.qos) for one in found] == [("ota/d/chunk/0", b"bytes", 0)]
    assert other.deliveries() == []
    assert stored(server) == []


async def test_who_reads_nothing_misses_it(edge):
    server = await edge()
    listener = Client(server)
    listener.connect("l")
    await listener.subscribe("ota/#")
    listener.connection.pause_writing()
    server.tell("ota/d/chunk/0", b"bytes")
    assert listener.connection.subscriber.delivery.dropped == 1
