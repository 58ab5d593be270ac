"""What clients of both versions expect of retained messages."""

from __future__ import annotations

import uuid

import pytest

from tests.harness.raw_client import PUBLISH, SUBSCRIBE, encode_string
from tests.harness.scripted_client import PUBREL, RETAIN_IF_NEW, RETAIN_NEVER, opened
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.interop
V3, V5 = 4, 5
RETAIN = 1
versions = pytest.mark.parametrize("version", [V3, V5], ids=["3.1.1", "5"])


@pytest.fixture
def root():
    """A topic that no other test uses."""
    return f"retained/{uuid.uuid4().hex[:8]}"


@pytest.fixture
def publisher(gateway):
    with opened(gateway.port) as client:
        yield client


def is_waiting(gateway, root, topic, payload):
    """Whether a new subscriber gets this message."""
    return payload in retained(gateway, root, topic)


def retained(gateway, root, topic_filter, *, version=V5, options=2, client=None):
    """The payloads that a subscription brings and that are marked as retained; sorted."""
    with client or opened(gateway.port, version=version) as reader:
        reader.ask((f"{root}/end", 0))
        reader.ask((topic_filter, options))
        reader.tell(f"{root}/end", b"!")
        found = []
        while (heard := reader.take(1)[0]).payload != b"!":
            if heard.retain:
                found.append(heard.payload)
        return sorted(found)


def retain(gateway, publisher, root, *payloads):
    for qos, payload in enumerate(payloads):
        publisher.deliver(f"{root}/{qos}", payload, min(qos, 2), flags=RETAIN)
    last = len(payloads) - 1
    wait_for(lambda: is_waiting(gateway, root, f"{root}/{last}", payloads[-1]), "the last of them")


@pytest.mark.spec("MQTT5-3.3.1-5")
@pytest.mark.spec("MQTT5-3.3.1-9")
@pytest.mark.spec("MQTT311-3.3.1-5")
@pytest.mark.spec("MQTT311-3.3.1-6")
@pytest.mark.spec("MQTT311-3.3.1-7")
@pytest.mark.spec("MQTT311-3.3.1-8")
@versions
def test_the_last_retained_message_of_each_topic_waits(gateway, root, publisher, version):
    retain(gateway, publisher, root, b"old", b"old", b"old")
    retain(gateway, publisher, root, b"0", b"1", b"2")
    with opened(gateway.port, version=version) as client:
        client.ask((f"{root}/+", 2))
        heard = client.take(3)
    assert sorted((one.payload, one.qos, one.retain) for one in heard) == [
        (b"0", 0, True),
        (b"1", 1, True),
        (b"2", 2, True),
    ]


@pytest.mark.spec("MQTT5-3.3.1-6")
@pytest.mark.spec("MQTT5-3.3.1-7")
@pytest.mark.spec("MQTT311-3.3.1-10")
@pytest.mark.spec("MQTT311-3.3.1-11")
@versions
def test_an_empty_message_clears_its_topic_and_is_delivered(gateway, root, publisher, version):
    retain(gateway, publisher, root, b"0", b"1")
    with opened(gateway.port, version=version) as client:
        client.ask((f"{root}/#", 0))
        client.take(2)
        for number in (0, 1):
            client.tell(f"{root}/{number}", b"", number and 1, flags=RETAIN)
        found = [one for one in (client.hear() for _ in range(3)) if one.kind == PUBLISH]
        assert [(one.payload, one.retain) for one in found] == [(b"", False), (b"", False)]
    wait_for(lambda: retained(gateway, root, f"{root}/+") == [], "an empty place")


@pytest.mark.spec("MQTT5-3.3.1-8")
@pytest.mark.spec("MQTT311-3.3.1-12")
@versions
def test_an_ordinary_message_leaves_the_retained_one_alone(gateway, root, publisher, version):
    retain(gateway, publisher, root, b"kept")
    publisher.deliver(f"{root}/0", b"passing")
    publisher.deliver(f"{root}/0", b"")
    assert retained(gateway, root, f"{root}/0", version=version) == [b"kept"]


@pytest.mark.spec("MQTT5-3.3.1-10")
@pytest.mark.spec("MQTT5-3.3.1-11")
@pytest.mark.spec("MQTT5-3.8.4-4")
def test_a_subscription_chooses_whether_it_brings_what_is_retained(gateway, root, publisher):
    retain(gateway, publisher, root, b"0", b"1")
    for options, first, again in ((0, 2, 2), (RETAIN_IF_NEW, 2, 0), (RETAIN_NEVER, 0, 0)):
        with opened(gateway.port) as client:
            for expected in (first, again):
                client.ask((f"{root}/+", options))
                assert len(client.take(expected)) == expected
            client.tell(f"{root}/2", b"!")
            assert client.take(1)[0].payload == b"!"


@pytest.mark.spec("MQTT311-3.8.4-3")
def test_a_client_of_3_1_1_gets_what_is_retained_each_time(gateway, root, publisher):
    retain(gateway, publisher, root, b"0")
    with opened(gateway.port, version=V3) as client:
        for _ in range(3):
            client.ask((f"{root}/0", 0))
            assert client.take(1)[0].retain


def subscription(client, topic):
    """The body of a SUBSCRIBE."""
    head = client.next_id().to_bytes(2, "big") + client.properties(SUBSCRIBE, {})
    return head + encode_string(topic) + b"\0"


@pytest.mark.parametrize("qos", [0, 1, 2])
@versions
def test_what_a_client_has_just_retained_its_own_subscription_brings(gateway, root, version, qos):
    with opened(gateway.port, version=version) as client:
        for number in range(20):
            topic = f"{root}/{number}"
            identifier = client.tell(topic, b"new", qos, flags=RETAIN)
            client.say(SUBSCRIBE, subscription(client, topic))
            heard = next(one for one in iter(client.hear, None) if one.kind == PUBLISH)
            assert (heard.payload, heard.retain) == (b"new", True)
            if qos == 2:
                client.say(PUBREL, identifier.to_bytes(2, "big"))


def test_a_shared_subscription_brings_nothing_retained(gateway, root, publisher):
    retain(gateway, publisher, root, b"0")
    with opened(gateway.port) as client:
        client.ask((f"$share/{root[-8:]}/{root}/+", 0))
        client.tell(f"{root}/1", b"!")
        heard = client.take(1)[0]
        assert (heard.payload, heard.retain) == (b"!", False)


def test_a_retained_message_keeps_its_properties_and_gets_the_subscriptions_own(
    gateway, root, publisher
):
    said = {"UserProperty": [("a", "2"), ("c", "3")], "ContentType": "x"}
    publisher.deliver(f"{root}/0", b"kept", 1, flags=RETAIN, **said)
    wait_for(lambda: is_waiting(gateway, root, f"{root}/0", b"kept"), "the message")
    with opened(gateway.port) as client:
        client.ask((f"{root}/0", 1), SubscriptionIdentifier=9)
        assert client.take(1)[0].properties == {**said, "SubscriptionIdentifier": [9]}


def test_a_retained_message_whose_time_is_over_is_gone(gateway, root, publisher):
    publisher.deliver(f"{root}/0", b"short", 1, flags=RETAIN, MessageExpiryInterval=1)
    wait_for(lambda: retained(gateway, root, f"{root}/0") == [], "the end of its time")


@pytest.mark.spec("MQTT311-3.1.2-7")
def test_a_retained_message_outlives_the_session_of_its_publisher(gateway, root):
    with opened(gateway.port, root[-8:], version=V3) as client:
        client.deliver(f"{root}/0", b"kept", 1, flags=RETAIN)
        client.leave()
    with opened(gateway.port, root[-8:], version=V3) as client:
        client.ask((f"{root}/0", 0))
        assert client.take(1)[0].payload == b"kept"
