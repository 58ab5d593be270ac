from __future__ import annotations

import random

import pytest

from gateway.mqtt import (
    Connect,
    Disconnect,
    Pingreq,
    Pingresp,
    Properties,
    ProtocolVersion,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    ReasonCode,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    encode_packet,
)
from gateway.session import SessionOptions
from tests.gateway.server.conftest import Client, turn
from tests.harness.waiting import until

V3, V5 = ProtocolVersion.V3_1_1, ProtocolVersion.V5
BOTH = [V3, V5]


def conversation(rng, version):
    """What a busy client may send, and what it must hear."""
    packets, answers = [Connect("c", version)], []
    for number in range(1, rng.randint(5, 25)):
        payload = rng.randbytes(rng.choice([0, 1, 20, 200, 20_000]))
        kind = rng.randrange(6)
        if kind < 3:
            topic = rng.choice(["t", "plant/d1/x", "power/m"])
            packets.append(Publish(topic, payload, 1, number))
            answers.append(Puback(number))
        elif kind == 3:
            packets.append(Publish("t", payload))
        elif kind == 4:
            packets += [Publish("t", payload, 2, number), Pubrel(number)]
        else:
            packets += [Pingreq(), Unsubscribe(number, ("x",))]
            codes = () if version is V3 else (ReasonCode.NO_SUBSCRIPTION_EXISTED,)
            answers += [Pingresp(), Unsuback(number, codes)]
    return packets, answers


def cut(rng, data):
    """The same bytes in pieces of any size."""
    at = 0
    while at < len(data):
        size = rng.choice([1, 1, 2, 3, 7, 50, 1_000, 30_000])
        yield data[at : at + size]
        at += size


@pytest.mark.spec("MQTT5-4.2.0-1")
@pytest.mark.spec("MQTT311-4.2.0-1")
@pytest.mark.spec("MQTT311-7.1.1-1")
@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize("seed", range(8))
async def test_packets_are_understood_however_they_are_cut(edge, version, seed):
    rng = random.Random(seed)
    server = await edge()
    client = Client(server, version)
    packets, answers = conversation(rng, version)
    data = b"".join(encode_packet(packet, version) for packet in packets)
    for piece in cut(rng, data):
        client.send_bytes(piece)
        if rng.random() < 0.1:
            await turn(2)
    await server.ingest.drain()
    heard = client.heard()[1:]
    assert client.is_open
    simple = [packet for packet in heard if not isinstance(packet, Pubrec | Pubcomp)]
    assert sorted(simple, key=repr) == sorted(answers, key=repr)
    expected = sorted(packet.payload for packet in packets if isinstance(packet, Publish))
    found = [payload for payloads in server.store.payloads().values() for payload in payloads]
    assert sorted(found) == expected


async def test_consecutive_publishes_of_one_read_are_one_append_and_one_write(edge):
    server = await edge()
    client = Client(server)
    client.connect("c")
    client.publish("t", *(b"%d" % number for number in range(100)))
    await server.ingest.drain()
    assert len(server.store.appends) == 1
    assert len(client.heard()) == 100


async def test_what_follows_a_connect_in_the_same_read_is_taken(edge):
    server = await edge()
    client = Client(server)
    client.send(Connect("c"), Publish("t", b"x", 1, 1), Pingreq())
    await server.ingest.drain()
    connack, pingresp, puback = client.heard()
    assert (pingresp, puback) == (Pingresp(), Puback(1))
    assert connack.reason_code == ReasonCode.SUCCESS


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize(
    ("garbage", "reason_code"),
    [
        (b"\x00\x00", ReasonCode.PROTOCOL_ERROR),
        (b"\x36\x05\x00\x01t\x00\x01", ReasonCode.MALFORMED_PACKET),
        (b"\x38\x04\x00\x01t\x00", ReasonCode.MALFORMED_PACKET),
        (b"\x82\xff\xff\xff\xff\x7f", ReasonCode.MALFORMED_PACKET),
        (b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00", ReasonCode.PROTOCOL_ERROR),
        (b"\x32\x05\x00\x01t\x00\x00", ReasonCode.PROTOCOL_ERROR),
        (b"\x40\x02\x00\x00", ReasonCode.PROTOCOL_ERROR),
        (b"\x20\x02\x00\x00", ReasonCode.PROTOCOL_ERROR),
    ],
)
async def test_what_breaks_the_protocol_closes_its_own_connection(
    edge, version, garbage, reason_code
):
    server = await edge()
    client, other = Client(server, version), Client(server, version)
    client.connect("c")
    other.connect("o")
    if garbage[:1] == b"\x32" and version is V5:
        garbage = b"\x32\x06\x00\x01t\x00\x00\x00"
    client.send_bytes(garbage)
    await until(lambda: not client.is_open, "the end of the connection")
    assert client.heard() == ([Disconnect(reason_code)] if version is V5 else [])
    other.send(Pingreq())
    assert other.heard() == [Pingresp()]


@pytest.mark.parametrize("seed", range(20))
async def test_garbage_harms_nobody_else(edge, seed):
    rng = random.Random(seed)
    server = await edge()
    other = Client(server)
    other.connect("o")
    for number in range(20):
        client = Client(server, rng.choice(BOTH))
        data = b"".join(
            encode_packet(packet, client.version) for packet in conversation(rng, client.version)[0]
        )
        broken = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            broken[rng.randrange(min(len(broken), 300))] = rng.randrange(256)
        for piece in cut(rng, bytes(broken)):
            if client.is_open:
                client.send_bytes(piece)
        if client.is_open:
            client.lose()
        await turn(2)
        other.publish("power/m", b"%d" % number)
    await server.ingest.drain()
    assert other.is_open
    acknowledged = [packet for packet in other.heard() if isinstance(packet, Puback)]
    assert len(acknowledged) == 20


@pytest.mark.spec("MQTT5-3.3.2-2")
@pytest.mark.spec("MQTT311-3.3.2-2")
@pytest.mark.parametrize("topic", ["a/+", "#"])
async def test_a_topic_name_with_a_wildcard_is_refused(edge, topic):
    server = await edge()
    client = Client(server, V3)
    client.connect("c")
    body = len(topic).to_bytes(2, "big") + topic.encode() + b"\x00\x01x"
    client.send_bytes(bytes([0x32, len(body)]) + body)
    await until(lambda: not client.is_open, "the end of the connection")
    assert server.store.payloads() == {}


async def test_a_packet_that_is_too_large_is_refused_before_it_has_come(edge):
    server = await edge(session=SessionOptions(packet_bytes_max=50_000))
    client = Client(server)
    client.connect("c")
    client.send_bytes(b"\x32\xff\xff\x7f")
    await until(lambda: not client.is_open, "the end of the connection")
    assert client.heard() == [Disconnect(ReasonCode.PACKET_TOO_LARGE)]


async def test_a_large_packet_costs_its_size_once_however_small_its_pieces(edge):
    server = await edge()
    client = Client(server)
    client.connect("c")
    packet = encode_packet(Publish("t", b"x" * 200_000, 1, 5), V5)
    joins = 0
    for at in range(0, len(packet), 100):
        client.send_bytes(packet[at : at + 100])
        joins += len(client.connection._pieces) == 1
    assert joins <= 2
    await server.ingest.drain()
    assert client.heard() == [Puback(5)]


async def test_a_message_that_no_stream_takes_is_refused_without_closing(edge):
    server = await edge()
    new, old = Client(server, V5), Client(server, V3)
    new.connect("new")
    old.connect("old")
    new.publish("nowhere", b"x")
    (refusal,) = new.heard()
    assert refusal.reason_code == ReasonCode.NOT_AUTHORIZED
    (packet_id,) = old.publish("nowhere", b"x")
    assert old.heard() == [Puback(packet_id)]
    assert (new.is_open, old.is_open) == (True, True)


async def test_an_alias_stands_for_a_topic_across_reads(edge):
    server = await edge()
    client = Client(server)
    client.connect("c")
    alias = Properties(topic_alias=1)
    client.send(Publish("power/m", b"1", properties=alias))
    client.send(Publish("", b"2", properties=alias))
    await server.ingest.drain()
    assert server.store.payloads() == {("power", 0): [b"1", b"2"]}


@pytest.mark.spec("MQTT5-3.8.4-1")
async def test_a_suback_waits_until_a_kept_session_would_survive(edge):
    server = await edge()
    client = Client(server)
    client.connect("c", properties=Properties(session_expiry_interval_s=60))
    server.store.is_stuck = True
    client.send(Subscribe(5, (Subscription("t"),)))
    await turn(10)
    assert client.heard() == []
    server.store.unstick()
    await until(lambda: client.heard() == [Suback(5, (ReasonCode.GRANTED_QOS_0,))], "the SUBACK")


async def test_a_publisher_is_not_read_while_the_disk_is_behind(edge):
    server = await edge(uncommitted_bytes_max=1_000)
    client = Client(server)
    client.connect("c")
    server.store.is_stuck = True
    client.publish("t", b"x" * 2_000)
    assert (client.pipe.is_reading, client.connection.is_paused) == (False, True)
    server.store.unstick()
    await until(lambda: client.pipe.is_reading, "reading again")
    assert not client.connection.is_paused


async def test_nothing_is_written_to_a_client_that_is_gone(edge):
    server = await edge()
    client = Client(server)
    client.connect("c")
    server.store.is_stuck = True
    client.publish("t", b"1")
    await turn(3)
    client.lose()
    server.store.unstick()
    await server.ingest.drain()
    assert client.heard() == []
    assert server.store.payloads() != {}


async def test_closing_twice_is_closing_once(edge):
    server = await edge()
    client = Client(server)
    client.connect("c")
    client.send(Disconnect())
    client.connection.close()
    client.connection.abort()
    await turn(3)
    assert server.hub.connected == 0
    assert client.connection not in server.hub._connections
