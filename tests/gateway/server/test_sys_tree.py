from __future__ import annotations

import orjson
import pytest

from gateway.mqtt import ProtocolVersion, Puback, ReasonCode
from gateway.server.flapping import Party
from gateway.server.sys_tree import FLAPPING_TOPIC, of_sys
from gateway.session import Grant
from tests.gateway.server.conftest import Client, stored, turn
from tests.harness.waiting import until

CONNECTED = "$SYS/broker/clients/connected"


@pytest.fixture
async def server(edge):
    server = await edge()
    await until(lambda: server.sys.payloads, "the first figures")
    return server


def by_topic(packets):
    return {packet.topic: packet for packet in packets}


async def test_a_subscriber_gets_every_figure_at_once_as_retained(server):
    client = Client(server)
    client.connect()
    found = by_topic(await client.subscribe("$SYS/#", qos=2))
    assert found.keys() == server.sys.payloads.keys()
    assert all(packet.retain and packet.qos == 0 for packet in found.values())
    assert found["$SYS/broker/version"].payload.startswith(b"penstock version ")


async def test_only_what_has_changed_goes_out_again_and_is_not_marked_retained(server):
    client = Client(server)
    client.connect()
    await client.subscribe("$SYS/broker/clients/connected", "$SYS/broker/version")
    Client(server).connect("another")
    await server.sys.publish()
    (packet,) = client.deliveries()
    assert (packet.topic, packet.payload, packet.retain) == (CONNECTED, b"2", False)
    await server.sys.publish()
    assert client.deliveries() == []


async def test_a_figure_that_is_no_more_is_told_as_empty_and_forgotten(server):
    client, lag = Client(server), "$SYS/broker/penstock/groups/g/lag"
    figures = {"groups/g/lag": 7}
    server.readings.tables.append(lambda: figures)
    client.connect()
    await client.subscribe(lag)
    await server.sys.publish()
    figures.clear()
    await server.sys.publish()
    assert [packet.payload for packet in client.deliveries()] == [b"7", b""]
    assert lag not in server.sys.payloads


@pytest.mark.spec("MQTT5-4.7.2-1")
@pytest.mark.spec("MQTT311-4.7.2-1")
async def test_wildcards_at_the_first_level_never_match(server):
    client = Client(server)
    client.connect()
    assert await client.subscribe("#", "+/broker/#", "+/broker/version") == []
    await server.sys.publish()
    assert client.deliveries() == []


async def test_one_level_below_sys_may_be_a_wildcard(server):
    client = Client(server)
    client.connect()
    found = by_topic(await client.subscribe("$SYS/+/clients/+"))
    assert CONNECTED in found
    assert all(name.startswith("$SYS/broker/clients/") for name in found)


@pytest.mark.parametrize("version", list(ProtocolVersion))
async def test_clients_can_not_publish_to_it(server, version):
    client = Client(server, version)
    client.connect()
    client.publish(CONNECTED, b"9")
    await until(lambda: server.ingest.refused, "a refusal")
    await turn(3)
    (answer,) = client.heard()
    assert isinstance(answer, Puback)
    said = ReasonCode.NOT_AUTHORIZED if version == ProtocolVersion.V5 else ReasonCode.SUCCESS
    assert answer.reason_code == said
    assert stored(server) == []
    assert server.sys.payloads[CONNECTED] != b"9"


async def test_figures_are_not_in_the_log(server):
    await server.sys.publish()
    assert stored(server) == []


async def test_a_client_that_does_not_read_misses_figures_instead_of_piling_them_up(server):
    client = Client(server)
    client.connect()
    await client.subscribe("$SYS/#")
    client.connection.pause_writing()
    dropped = client.connection.subscriber.delivery.dropped
    server.hub.counters.takeovers += 1
    await server.sys.publish()
    assert client.deliveries() == []
    assert client.connection.subscriber.delivery.dropped > dropped


async def test_counts_are_those_of_the_clients(server):
    client = Client(server)
    client.connect()
    client.publish("t", b"12345", b"6")
    acks = []
    await until(lambda: acks.extend(client.heard()) or len(acks) == 2, "acknowledgements")
    await server.sys.publish()
    payloads = server.sys.payloads
    assert payloads["$SYS/broker/publish/messages/received"] == b"2"
    assert payloads["$SYS/broker/messages/received"] == b"3"
    assert payloads["$SYS/broker/messages/sent"] == b"3"
    assert payloads["$SYS/broker/messages/stored"] == b"2"
    sizes = {
        name: int(payloads[f"$SYS/broker/{name}"]) for name in ("bytes/received", "bytes/sent")
    }
    assert sizes["bytes/received"] > int(payloads["$SYS/broker/publish/bytes/received"]) > 6
    assert sizes["bytes/sent"] > 0


async def test_a_fight_over_an_identifier_is_a_figure_within_a_sweep(server):
    assert orjson.loads(server.sys.payloads[FLAPPING_TOPIC]) == []
    client = Client(server)
    client.connect()
    await client.subscribe(FLAPPING_TOPIC)
    for _ in range(20):
        sides = Party("10.0.0.1", "10.0.0.1:1"), Party("10.0.0.2", "10.0.0.2:2")
        server.hub.takeovers.flapping.note("a/+/#", *sides, 0)
    server.sys.tell_flapping()
    (packet,) = client.deliveries()
    (notice,) = orjson.loads(packet.payload)
    assert notice["client_id"] == "a/+/#"
    assert notice["addresses"] == ["10.0.0.1:1", "10.0.0.2:2"]


async def test_it_can_be_turned_off(edge):
    server = await edge(sys_interval_ms=0)
    client = Client(server)
    client.connect()
    assert await client.subscribe("$SYS/#") == []
    assert "$SYS" not in [task.get_name() for task in server.tasks]


def test_only_filters_below_sys_ask_for_figures():
    asked = [Grant("$SYS/#", 0), Grant("#", 0), Grant("$share/g/$SYS/#", 0), Grant("a/$SYS", 0)]
    assert of_sys(asked) == asked[:1]
