"""Bad input costs its sender the connection, and nobody else anything."""

from __future__ import annotations

import random

import pytest

from tests.harness.gateway_process import GatewayProcess
from tests.harness.raw_client import RawClient, connected, encode_packet, encode_string

SEED = 20_260_101
MUTATIONS = 150

BEFORE_CONNECT = {
    "noise": bytes.fromhex("5a5a5a5a5a5a5a5a"),
    "http": b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n",
    "publish first": encode_packet(3, 0, encode_string("a/b") + b"x"),
    "ping first": encode_packet(12, 0, b""),
    "connect with reserved flag": encode_packet(
        1, 0, encode_string("MQTT") + bytes([4, 0x03, 0, 0]) + encode_string("a")
    ),
    "connect of another protocol": encode_packet(
        1, 0, encode_string("MQTX") + bytes([4, 2, 0, 0]) + encode_string("a")
    ),
    "connect cut short": encode_packet(1, 0, encode_string("MQTT") + bytes([4, 2])),
    "connect with half a client id": encode_packet(
        1, 0, encode_string("MQTT") + bytes([4, 2, 0, 0, 0, 9]) + b"abc"
    ),
}

AFTER_CONNECT = {
    "length of five bytes": bytes.fromhex("30 ff ff ff ff 01"),
    "publish of a quarter of a gigabyte": bytes.fromhex("32 ff ff ff 7f"),
    "publish without a topic": encode_packet(3, 0, encode_string("") + b"x"),
    "publish to a wildcard": encode_packet(3, 0, encode_string("plant/#") + b"x"),
    "publish to a plus": encode_packet(3, 0, encode_string("plant/+/state") + b"x"),
    "publish to a null": encode_packet(3, 0, encode_string("plant/\0") + b"x"),
    "publish to invalid UTF-8": encode_packet(3, 0, encode_string(b"plant/\xff\xfe") + b"x"),
    "publish at QoS 3": encode_packet(3, 6, encode_string("a/b") + b"\0\1x"),
    "publish with packet id 0": encode_packet(3, 2, encode_string("a/b") + b"\0\0x"),
    "publish with half a topic": encode_packet(3, 0, b"\0\x40plant"),
    "publish with half a packet id": encode_packet(3, 2, encode_string("a/b") + b"\1"),
    "publish with dup at QoS 0": encode_packet(3, 8, encode_string("a/b") + b"x"),
    "second connect": encode_packet(
        1, 0, encode_string("MQTT") + bytes([4, 2, 0, 0]) + encode_string("a")
    ),
    "connack from a client": encode_packet(2, 0, b"\0\0"),
    "suback from a client": encode_packet(9, 0, b"\0\1\0"),
    "pingresp from a client": encode_packet(13, 0, b""),
    "packet of type 0": encode_packet(0, 0, b""),
    "packet of type 15": encode_packet(15, 0, b""),
    "subscribe with flags 0": encode_packet(8, 0, b"\0\1" + encode_string("a") + b"\0"),
    "subscribe to nothing": encode_packet(8, 2, b"\0\1"),
    "subscribe with packet id 0": encode_packet(8, 2, b"\0\0" + encode_string("a") + b"\0"),
    "subscribe at QoS 3": encode_packet(8, 2, b"\0\1" + encode_string("a") + b"\3"),
    "subscribe to a filter that is none": encode_packet(
        8, 2, b"\0\1" + encode_string("a/#/b") + b"\0"
    ),
    "ping with a body": encode_packet(12, 0, b"x"),
    "ping with flags": encode_packet(12, 3, b""),
    "puback cut short": encode_packet(4, 0, b"\0"),
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with GatewayProcess(tmp_path_factory.mktemp("malformed") / "log") as gateway:
        yield gateway


@pytest.fixture
def neighbour(gateway):
    """A well-behaved client, which has an ack before and gets one after what the test does."""
    with connected(gateway.port, "neighbour") as client:
        client.publish("plant/pump/state", b"before", packet_id=1)
        assert client.read_acks(1) == [1]
        yield client
        client.publish("plant/pump/state", b"after", packet_id=2)
        assert client.read_acks(1) == [2]
        assert gateway.is_running


@pytest.mark.usefixtures("neighbour")
@pytest.mark.parametrize("packet", BEFORE_CONNECT.values(), ids=BEFORE_CONNECT.keys())
def test_who_does_not_connect_properly_is_closed(gateway, packet):
    with RawClient(gateway.port, "offender") as offender:
        offender.send(packet)
        assert offender.is_closed_by_server(5.0)


@pytest.mark.usefixtures("neighbour")
@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("packet", AFTER_CONNECT.values(), ids=AFTER_CONNECT.keys())
def test_who_breaks_the_protocol_is_closed(gateway, packet, version):
    with connected(gateway.port, "offender", version=version) as offender:
        offender.send(packet)
        assert offender.is_closed_by_server(5.0)


@pytest.mark.usefixtures("neighbour")
def test_a_packet_cut_off_by_its_sender_is_not_stored(gateway):
    with connected(gateway.port, "listener") as listener:
        listener.subscribe(("cut/#", 0))
        with connected(gateway.port, "offender") as offender:
            whole = offender.encode_publish("cut/pump/state", b"x" * 100, packet_id=1)
            offender.send(whole[:-1])
        listener.publish("cut/pump/state", b"whole")
        assert listener.collect(1)[0].payload == b"whole"


@pytest.mark.usefixtures("neighbour")
def test_what_came_before_a_bad_packet_in_one_piece_is_acknowledged_or_not_but_never_halfway(
    gateway,
):
    with connected(gateway.port, "offender") as offender:
        good = b"".join(
            offender.encode_publish("plant/mixed/state", b"%d" % n, packet_id=n) for n in (1, 2, 3)
        )
        offender.send(good + AFTER_CONNECT["publish at QoS 3"])
        assert offender.is_closed_by_server(5.0)


def mutated(chance: random.Random, packet: bytes) -> bytes:
    """The packet with some bytes changed, lost or added."""
    changed = bytearray(packet)
    for _ in range(chance.randrange(1, 6)):
        place = chance.randrange(len(changed))
        match chance.randrange(3):
            case 0:
                changed[place] = chance.randrange(256)
            case 1:
                del changed[place]
            case _:
                changed.insert(place, chance.randrange(256))
        changed = changed or bytearray(b"\0")
    return bytes(changed)


@pytest.mark.usefixtures("neighbour")
@pytest.mark.parametrize("version", [4, 5])
def test_mutated_packets_hurt_nobody(gateway, version):
    print("seed", SEED)
    chance = random.Random(SEED + version)
    for number in range(MUTATIONS):
        with RawClient(gateway.port, f"mutant-{number}", version=version) as mutant:
            publish = mutant.encode_publish("plant/mutant/state", b"{}", packet_id=number + 1)
            packets = [publish, encode_packet(8, 2, b"\0\1" + encode_string("a/+") + b"\1")]
            mutant.connect()
            mutant.send(b"".join(mutated(chance, chance.choice(packets)) for _ in range(3)))
    assert gateway.is_running
    assert "Traceback" not in gateway.output
