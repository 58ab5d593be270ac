"""Eclipse Paho, in both versions of the protocol."""

from __future__ import annotations

import pytest
from paho.mqtt.client import MQTTv5, MQTTv31, MQTTv311
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.harness.log_reader import read_log
from tests.harness.raw_client import RawClient
from tests.interop.paho_client import WAIT_S, PahoClient

pytestmark = pytest.mark.interop
versions = pytest.mark.parametrize("version", [MQTTv311, MQTTv5], ids=["3.1.1", "5"])


@pytest.mark.parametrize("version", [MQTTv31, MQTTv311, MQTTv5], ids=["3.1", "3.1.1", "5"])
@pytest.mark.parametrize("qos", [0, 1])
def test_what_is_published_is_delivered_live_and_stored(gateway, version, qos):
    device = f"pump-{version}-{qos}"
    payloads = [b'{"n":%d}' % number for number in range(20)]
    with (
        PahoClient(gateway.port, "listener", version) as listener,
        PahoClient(gateway.port, "publisher", version) as publisher,
    ):
        assert listener.subscribe((f"plant/{device}/#", 1)) == [1]
        for payload in payloads:
            publisher.publish(f"plant/{device}/state", payload, qos)
        received = listener.receive(len(payloads))
    assert [message.payload for message in received] == payloads
    assert {message.qos for message in received} == {qos}
    logged = read_log(gateway.data, "telemetry", "--device", device)
    assert [event.payload["n"] for event in logged] == list(range(20))


@versions
def test_a_subscription_lowers_the_quality_of_service(gateway, version):
    with PahoClient(gateway.port, "listener", version) as listener:
        assert listener.subscribe(("lowered/#", 0)) == [0]
        listener.publish("lowered/pump", b"1", 1)
        assert listener.receive()[0].qos == 0


@versions
def test_wildcards_match_what_they_should(gateway, version):
    with PahoClient(gateway.port, "listener", version) as listener:
        listener.subscribe(("wild/+/state", 1), ("wild/deep/#", 1))
        topics = ["wild/a/state", "wild/a/other", "wild/deep", "wild/deep/x/y", "wilder/a/state"]
        for topic in topics:
            listener.publish(topic, b"1", 1)
        received = [message.topic for message in listener.receive(3)]
        assert received == ["wild/a/state", "wild/deep", "wild/deep/x/y"]


@versions
def test_after_unsubscribing_nothing_comes(gateway, version):
    with PahoClient(gateway.port, "listener", version) as listener:
        listener.subscribe(("left/#", 1), ("kept/#", 1))
        listener.client.unsubscribe("left/#")
        listener.wait_for_log("Received UNSUBACK")
        listener.publish("left/pump", b"1", 1)
        listener.publish("kept/pump", b"2", 1)
        assert listener.receive()[0].topic == "kept/pump"


@versions
def test_a_second_connection_takes_the_session_over(gateway, version):
    with (
        PahoClient(gateway.port, "the-same", version) as first,
        RawClient(gateway.port, "the-same", version=int(version)) as second,
    ):
        assert second.connect().code == 0
        reason = first.disconnected.get(timeout=WAIT_S)
        second.ping()
    if version == MQTTv5:
        assert reason == "Session taken over"


@versions
def test_a_keep_alive_is_answered(gateway, version):
    with PahoClient(gateway.port, "quiet", version, keep_alive_s=1) as quiet:
        quiet.wait_for_log("Received PINGRESP")
        quiet.wait_for_log("Received PINGRESP")
        assert quiet.client.is_connected()


@versions
def test_who_is_silent_beyond_its_keep_alive_is_closed(gateway, version):
    with RawClient(gateway.port, "silent", version=int(version)) as silent:
        assert silent.connect(keep_alive_s=1).code == 0
        assert silent.is_closed_by_server(6.0)


@versions
def test_a_retained_message_waits_for_its_subscriber(gateway, version):
    with PahoClient(gateway.port, "publisher", version) as publisher:
        publisher.publish("retained/pump/state", b"old", 1, retain=True)
        publisher.publish("retained/pump/state", b"new", 1, retain=True)
    with PahoClient(gateway.port, "listener", version) as listener:
        listener.subscribe(("retained/#", 1))
        message = listener.receive()[0]
        assert (message.payload, message.retain) == (b"new", True)
        listener.publish("retained/pump/state", b"", 1, retain=True)
        assert listener.receive()[0].retain is False
    with PahoClient(gateway.port, "latecomer", version) as latecomer:
        latecomer.subscribe(("retained/#", 1), ("marker", 1))
        latecomer.publish("marker", b"", 1)
        assert latecomer.receive()[0].topic == "marker"


@versions
@pytest.mark.parametrize("size", [0, 127, 128, 16_384, 500_000])
def test_payloads_of_every_length_come_through(gateway, version, size):
    payload = bytes(index % 251 for index in range(size))
    with PahoClient(gateway.port, "long", version) as client:
        client.subscribe(("long/#", 1))
        client.publish("long/pump", payload, 1)
        assert client.receive()[0].payload == payload


def test_properties_of_version_5_come_through(gateway):
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("unit", "C"), ("unit", "K")]
    properties.ContentType = "application/json"
    properties.ResponseTopic = "answers/pump"
    properties.CorrelationData = b"\x00\x01"
    properties.PayloadFormatIndicator = 1
    with PahoClient(gateway.port, "rich", MQTTv5) as client:
        client.subscribe(("rich/#", 1))
        client.publish("rich/pump", b"{}", 1, properties=properties)
        received = client.receive()[0].properties
    assert received is not None
    assert received.json() == properties.json()


def test_an_old_and_a_new_client_hear_each_other(gateway):
    with (
        PahoClient(gateway.port, "old", MQTTv311) as old,
        PahoClient(gateway.port, "new", MQTTv5) as new,
    ):
        for client in (old, new):
            client.subscribe(("mixed/#", 1))
        old.publish("mixed/old", b"1", 1)
        new.publish("mixed/new", b"2", 1)
        for client in (old, new):
            assert [message.topic for message in client.receive(2)] == ["mixed/old", "mixed/new"]
