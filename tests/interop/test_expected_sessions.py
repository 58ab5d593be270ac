"""What clients of both versions expect of sessions that outlive their connections."""

from __future__ import annotations

import uuid

import pytest

from tests.harness.raw_client import DISCONNECT, PUBACK, PUBLISH, PUBREC
from tests.harness.scripted_client import (
    PUBCOMP,
    PUBREL,
    ScriptedClient,
    encode_properties,
    opened,
)
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.interop
V3, V5 = 4, 5
versions = pytest.mark.parametrize("version", [V3, V5], ids=["3.1.1", "5"])


def kept(version, seconds=60):
    fields = {"SessionExpiryInterval": seconds} if version == V5 else {}
    return {"clean": False, **fields}


@pytest.fixture
def root():
    """A topic that no other test uses, whose last level is also a client's name."""
    return f"sessions/{uuid.uuid4().hex[:8]}"


@pytest.fixture
def name(root):
    return root[-8:]


def is_present(gateway, name, version=V5, **fields):
    with ScriptedClient(gateway.port, name, version=version) as client:
        connack = client.open(**{"clean": False, **fields})
        client.leave()
        return connack.session_present


@pytest.mark.spec("MQTT5-3.1.2-4")
@pytest.mark.spec("MQTT5-3.1.2-5")
@pytest.mark.spec("MQTT5-3.1.2-6")
@pytest.mark.spec("MQTT5-3.1.4-4")
@pytest.mark.spec("MQTT5-3.2.2-2")
@pytest.mark.spec("MQTT5-3.2.2-3")
@pytest.mark.spec("MQTT5-3.1.3-2")
@pytest.mark.spec("MQTT311-3.1.2-4")
@pytest.mark.spec("MQTT311-3.1.2-6")
@pytest.mark.spec("MQTT311-3.1.3-2")
@pytest.mark.spec("MQTT311-3.1.4-3")
@pytest.mark.spec("MQTT311-3.2.2-1")
@pytest.mark.spec("MQTT311-3.2.2-2")
@pytest.mark.spec("MQTT311-3.2.2-3")
@versions
def test_a_session_is_there_until_a_clean_start_ends_it(gateway, root, name, version):
    with ScriptedClient(gateway.port, name, version=version) as client:
        assert not client.open(**kept(version)).session_present
        client.ask((root, 1))
        client.leave()
    with ScriptedClient(gateway.port, name, version=version) as client:
        assert client.open(**kept(version)).session_present
        client.tell(root, b"still subscribed")
        assert client.take(1)[0].payload == b"still subscribed"
        client.leave()
    with ScriptedClient(gateway.port, name, version=version) as client:
        assert not client.open(**{**kept(version), "clean": True}).session_present
        client.tell(root, b"not subscribed any more")
        client.ask((f"{root}/end", 0))
        client.tell(f"{root}/end", b"!")
        assert client.take(1)[0].payload == b"!"
        client.leave()
    # A clean session of 3.1.1 ends with its connection; of 5, its expiry counts.
    assert is_present(gateway, name, version) is (version == V5)


@pytest.mark.spec("MQTT5-3.1.2-23")
@pytest.mark.spec("MQTT5-4.5.0-1")
@pytest.mark.spec("MQTT311-3.1.2-5")
@pytest.mark.spec("MQTT311-4.5.0-1")
@versions
def test_what_was_published_meanwhile_waits_in_order(gateway, root, name, version):
    with opened(gateway.port, name, version=version, **kept(version)) as client:
        client.ask((f"{root}/#", 2))
        client.leave()
    with opened(gateway.port, version=version) as publisher:
        for qos in (1, 2, 1):
            publisher.deliver(f"{root}/a", b"%d" % qos, qos)
    with opened(gateway.port, name, version=version, **kept(version)) as client:
        heard = client.take(3)
        assert [(one.payload, one.qos, one.dup) for one in heard] == [
            (b"1", 1, False),
            (b"2", 2, False),
            (b"1", 1, False),
        ]


@pytest.mark.spec("MQTT5-4.4.0-1")
@pytest.mark.spec("MQTT5-3.3.1-1")
@pytest.mark.spec("MQTT5-3.3.1-3")
@pytest.mark.spec("MQTT5-4.6.0-1")
@pytest.mark.spec("MQTT5-4.3.2-3")
@pytest.mark.spec("MQTT5-4.3.3-3")
@pytest.mark.spec("MQTT311-4.4.0-1")
@pytest.mark.spec("MQTT311-3.3.1-1")
@pytest.mark.spec("MQTT311-3.3.1-3")
@pytest.mark.spec("MQTT311-4.6.0-1")
@pytest.mark.spec("MQTT311-2.3.1-4")
@versions
def test_what_was_not_acknowledged_comes_again_and_only_then(gateway, root, name, version):
    with opened(gateway.port, name, version=version, **kept(version)) as client:
        client.ask((f"{root}/#", 2))
        with opened(gateway.port, version=version) as publisher:
            for number in range(4):
                publisher.tell(f"{root}/a", b"%d" % number, 1 + number % 2, flags=8)
            first = [client.hear_one(PUBLISH) for _ in range(4)]
        # DUP is the server's own, whatever the publisher's was.
        assert not any(one.dup for one in first)
        client.acknowledge(PUBACK, first[0].packet_id)
        assert client.ping_is_answered()
    with opened(gateway.port, name, version=version, **kept(version)) as client:
        again = [client.hear_one(PUBLISH) for _ in range(3)]
        assert [one.packet_id for one in again] == [one.packet_id for one in first[1:]]
        assert [one.payload for one in again] == [b"1", b"2", b"3"]
        assert all(one.dup for one in again)
        assert client.ping_is_answered()


@pytest.mark.spec("MQTT5-4.3.3-10")
@pytest.mark.spec("MQTT311-4.3.3-2")
@versions
def test_a_publisher_of_qos_2_may_go_on_after_a_reconnect(gateway, root, name, version):
    with opened(gateway.port, version=version) as listener:
        listener.ask((root, 0))
        with opened(gateway.port, name, version=version, **kept(version)) as client:
            client.tell(root, b"once", 2, packet_id=5)
            client.hear_one(PUBREC)
        with opened(gateway.port, name, version=version, **kept(version)) as client:
            client.tell(root, b"once", 2, packet_id=5, flags=8)
            assert client.hear_one(PUBREC).packet_id == 5
            client.acknowledge(PUBREL, 5)
            assert client.hear_one(PUBCOMP).code == 0
            client.deliver(root, b"marker", 1)
        assert [one.payload for one in listener.take(2)] == [b"once", b"marker"]


@versions
def test_a_pubrel_that_nobody_waits_for_is_completed(gateway, version):
    with opened(gateway.port, version=version) as client:
        client.acknowledge(PUBREL, 77)
        heard = client.hear_one(PUBCOMP)
        assert (heard.packet_id, heard.code) == (77, 0x92 if version == V5 else 0)


@pytest.mark.spec("MQTT5-4.1.0-2")
def test_a_session_that_lasts_no_longer_than_its_connection_is_gone_with_it(gateway, name):
    assert not is_present(gateway, name, SessionExpiryInterval=0)
    assert not is_present(gateway, name, SessionExpiryInterval=60)
    assert is_present(gateway, name)
    assert not is_present(gateway, name, SessionExpiryInterval=60)


def test_a_disconnect_may_make_a_session_last_longer_or_end_it(gateway, root, name):
    with opened(gateway.port, name, **kept(V5, 1)) as client:
        client.leave(SessionExpiryInterval=60)
    with ScriptedClient(gateway.port, name) as client:
        assert client.open(**kept(V5, 60)).session_present
        client.leave(SessionExpiryInterval=0)
    assert not is_present(gateway, name)


def test_a_session_that_was_to_end_can_not_be_made_to_last(gateway):
    with opened(gateway.port) as client:
        body = b"\0" + encode_properties(DISCONNECT, {"SessionExpiryInterval": 5})
        client.say(DISCONNECT, body)
        assert client.farewell().code == 0x82


@pytest.mark.spec("MQTT5-3.3.2-5")
def test_a_message_whose_time_is_over_waits_for_nobody(gateway, root, name):
    with opened(gateway.port, name, **kept(V5)) as client:
        client.ask((root, 2))
        client.leave()
    with opened(gateway.port) as publisher:
        publisher.deliver(root, b"short", 1, MessageExpiryInterval=1)
        publisher.deliver(root, b"long", 2, MessageExpiryInterval=60)
        publisher.ask((f"{root}/clock", 0))
        publisher.deliver(f"{root}/clock", b"tick", 0, flags=1, MessageExpiryInterval=1)
        publisher.take(1)
    wait_for(lambda: not retained_payloads(gateway, f"{root}/clock"), "the end of a second")
    with opened(gateway.port, name, **kept(V5)) as client:
        (heard,) = client.take(1)
        assert heard.payload == b"long"
        assert heard.properties["MessageExpiryInterval"] < 60


def retained_payloads(gateway, topic):
    with opened(gateway.port) as client:
        client.ask((topic, 0), (f"{topic}/end", 0))
        client.tell(f"{topic}/end", b"!")
        payloads = []
        while (heard := client.hear_one(PUBLISH)).payload != b"!":
            payloads.append(heard.payload)
        return payloads
