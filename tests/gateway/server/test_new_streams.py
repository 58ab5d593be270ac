from __future__ import annotations

import asyncio

import pytest

from gateway.events import Origin, Run
from gateway.mqtt import Properties, ProtocolVersion
from gateway.server.new_streams import look_for_streams, watch_streams
from gateway.store import StreamSpec
from tests.gateway.server.conftest import Client, turn
from tests.harness.waiting import until

FIRST = [f"derived/means/{number}".encode() for number in range(3)]


def spec_of(name):
    return StreamSpec(name, partitions=1)


def connected(server, client_id, **fields):
    client = Client(server, ProtocolVersion.V5)
    client.connect(client_id, **fields)
    return client


async def emit(server, *payloads, stream="means"):
    await server.store.ensure(spec_of(stream))
    origins = [Origin(f"derived/{stream}/m1", "m1")] * len(payloads)
    flags = bytes([2] * len(payloads))
    await server.store.append([Run(stream, 0, "$rules", 5, origins, list(payloads), flags)])


def heard(client):
    return [packet.payload for packet in client.deliveries()]


async def test_subscribers_hear_a_new_stream_from_its_first_record_on(edge):
    server = await edge()
    client = connected(server, "s")
    await client.subscribe("derived/#")
    await emit(server, *FIRST)
    await look_for_streams(server.store, server.fanout, spec_of)
    await emit(server, b"more")
    found = []
    await until(lambda: found.extend(heard(client)) or len(found) == 4, "the records")
    assert found == [*FIRST, b"more"]


async def test_who_is_catching_up_hears_it_too_and_nothing_twice(edge):
    server = await edge()
    client = connected(server, "s", properties=Properties(receive_maximum=1))
    await client.subscribe("#")
    publisher = connected(server, "p")
    publisher.publish("power/m", b"1", b"2", b"3", qos=1)
    await until(lambda: server.ingest.accepted == 3, "the commits")
    await emit(server, *FIRST)
    await look_for_streams(server.store, server.fanout, spec_of)
    await turn(20)
    await emit(server, b"more")
    found = []

    def take():
        found.extend(heard(client))  # each is acknowledged
        return len(found) == 7

    await until(take, "everything")
    assert sorted(found) == sorted([b"1", b"2", b"3", *FIRST, b"more"])


async def test_members_of_a_shared_subscription_hear_it(edge):
    server = await edge()
    client = connected(server, "s")
    await client.subscribe("$share/g/#")
    await turn(20)
    await emit(server, *FIRST)
    await look_for_streams(server.store, server.fanout, spec_of)
    found = []
    await until(lambda: found.extend(heard(client)) or len(found) == 3, "the records")
    assert found == FIRST


@pytest.mark.parametrize("other", [StreamSpec("x", partitions=2), StreamSpec("late-x", 1)])
async def test_streams_of_another_kind_are_passed_over(edge, other):
    server = await edge()
    before = list(server.fanout.tails.streams)
    await server.store.ensure(other)
    await look_for_streams(server.store, server.fanout, spec_of)
    assert server.fanout.tails.streams == before


async def test_it_looks_again_and_again(edge, monkeypatch):
    monkeypatch.setattr("gateway.server.new_streams.LOOK_S", 0)
    server = await edge()
    task = asyncio.create_task(watch_streams(server.store, server.fanout, spec_of))
    await emit(server, *FIRST)
    await until(lambda: "means" in server.fanout.tails.streams, "the stream to be found")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
