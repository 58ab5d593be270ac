"""What subscribers and publishers of both versions expect of messages on their way."""

from __future__ import annotations

import uuid

import pytest

from tests.harness.raw_client import PUBACK, PUBLISH, PUBREC
from tests.harness.scripted_client import (
    NO_LOCAL,
    PUBCOMP,
    PUBREL,
    RETAIN_AS_PUBLISHED,
    opened,
)

pytestmark = pytest.mark.interop
V3, V5 = 4, 5
versions = pytest.mark.parametrize("version", [V3, V5], ids=["3.1.1", "5"])
KEEP = {"clean": False, "SessionExpiryInterval": 60}


def kept(version):
    return KEEP if version == V5 else {"clean": False}


@pytest.fixture
def root():
    """A topic that no other test uses."""
    return f"delivery/{uuid.uuid4().hex[:8]}"


def hear_all(client, kinds):
    """The next packets, which are of these kinds in any order; by kind."""
    found = [client.hear() for _ in kinds]
    assert sorted(one.kind for one in found) == sorted(kinds)
    return {one.kind: one for one in found}


@pytest.mark.spec("MQTT5-3.3.4-1")
@pytest.mark.spec("MQTT5-4.3.2-4")
@pytest.mark.spec("MQTT5-4.3.3-8")
@pytest.mark.spec("MQTT5-4.3.3-11")
@pytest.mark.spec("MQTT5-2.2.1-5")
@pytest.mark.spec("MQTT311-3.3.4-1")
@pytest.mark.spec("MQTT311-4.3.2-2")
@pytest.mark.spec("MQTT311-4.3.3-2")
@pytest.mark.spec("MQTT311-2.3.1-6")
@versions
def test_each_quality_of_service_is_answered_in_its_way(gateway, root, version):
    with opened(gateway.port, version=version) as client:
        client.deliver(root, b"0", 0)
        client.deliver(root, b"1", 1, packet_id=65_535)
        client.deliver(root, b"2", 2, packet_id=257)
        assert client.ping_is_answered()


@pytest.mark.spec("MQTT5-4.3.1-1")
@pytest.mark.spec("MQTT5-4.3.2-1")
@pytest.mark.spec("MQTT5-4.3.2-2")
@pytest.mark.spec("MQTT5-4.3.3-1")
@pytest.mark.spec("MQTT5-4.3.3-2")
@pytest.mark.spec("MQTT5-3.3.2-3")
@pytest.mark.spec("MQTT311-4.3.1-1")
@pytest.mark.spec("MQTT311-4.3.2-1")
@pytest.mark.spec("MQTT311-4.3.3-1")
@pytest.mark.spec("MQTT311-3.3.2-3")
@versions
def test_messages_of_each_quality_come_to_their_subscriber(gateway, root, version):
    with (
        opened(gateway.port, version=version) as client,
        opened(gateway.port, version=version) as publisher,
    ):
        client.ask((f"{root}/+", 2))
        for qos in (0, 1, 2):
            publisher.deliver(f"{root}/{qos}", b"%d" % qos, qos)
        heard = client.take(3)
        assert [(one.topic, one.payload, one.qos, one.dup) for one in heard] == [
            (f"{root}/{qos}", b"%d" % qos, qos, False) for qos in (0, 1, 2)
        ]
        assert heard[1].packet_id != heard[2].packet_id


@pytest.mark.spec("MQTT5-3.8.4-8")
@pytest.mark.spec("MQTT311-3.8.4-6")
@versions
@pytest.mark.parametrize("granted", [0, 1, 2])
def test_the_lower_quality_of_both_ends_counts(gateway, root, version, granted):
    with (
        opened(gateway.port, version=version) as client,
        opened(gateway.port, version=version) as publisher,
    ):
        assert client.ask((root, granted)).codes == bytes([granted])
        for qos in (0, 1, 2):
            publisher.deliver(root, b"", qos)
        assert [one.qos for one in client.take(3)] == [min(qos, granted) for qos in (0, 1, 2)]


@pytest.mark.spec("MQTT5-3.3.4-2")
@pytest.mark.spec("MQTT311-3.3.5-1")
@versions
def test_overlapping_subscriptions_bring_one_message_with_the_highest_quality(
    gateway, root, version
):
    with opened(gateway.port, version=version) as client:
        client.ask((f"{root}/#", 2), (f"{root}/+", 1))
        client.tell(f"{root}/a", b"once", 0)
        client.tell(f"{root}/a", b"twice", 0)
        assert [one.payload for one in client.take(2)] == [b"once", b"twice"]
        publisher = opened(gateway.port, version=version)
        publisher.deliver(f"{root}/a", b"high", 2)
        assert client.take(1)[0].qos == 2
        publisher.leave()


@pytest.mark.spec("MQTT5-3.3.4-3")
@pytest.mark.spec("MQTT5-3.3.4-4")
def test_a_message_names_every_subscription_that_brings_it(gateway, root):
    with opened(gateway.port) as client, opened(gateway.port) as other:
        other.ask((root, 2), SubscriptionIdentifier=456_789)
        client.ask((root, 2), SubscriptionIdentifier=2)
        client.ask((f"{root}/#", 2), SubscriptionIdentifier=3)
        client.ask((f"{root}/+", 2))
        other.tell(root, b"both")
        (heard,) = client.take(1)
        assert sorted(heard.properties["SubscriptionIdentifier"]) == [2, 3]
        assert other.take(1)[0].properties["SubscriptionIdentifier"] == [456_789]
        other.tell(f"{root}/a", b"one")
        assert client.take(1)[0].properties["SubscriptionIdentifier"] == [3]


@pytest.mark.spec("MQTT5-3.8.3-3")
def test_no_local_keeps_own_messages_away_and_no_others(gateway, root):
    with opened(gateway.port) as client, opened(gateway.port) as other:
        client.ask((root, 2 | NO_LOCAL))
        client.tell(root, b"own")
        other.tell(root, b"theirs")
        assert client.take(1)[0].payload == b"theirs"


@pytest.mark.spec("MQTT5-3.8.3-3")
def test_another_subscription_still_brings_own_messages(gateway, root):
    with opened(gateway.port) as client:
        client.ask((root, 2 | NO_LOCAL), SubscriptionIdentifier=1)
        client.ask((f"{root}/#", 0), SubscriptionIdentifier=2)
        client.deliver(root, b"own", 0)
        (heard,) = client.take(1)
        assert (heard.qos, heard.properties["SubscriptionIdentifier"]) == (0, [2])


@pytest.mark.spec("MQTT5-3.8.3-4")
def test_a_shared_subscription_can_not_be_without_own_messages(gateway, root):
    with opened(gateway.port) as client:
        body = b"\0\1\0" + len(f"$share/g/{root}").to_bytes(2, "big")
        client.say(8, body + f"$share/g/{root}".encode() + bytes([NO_LOCAL]))
        assert client.farewell().code == 0x82


@pytest.mark.spec("MQTT5-3.3.1-12")
@pytest.mark.spec("MQTT5-3.3.1-13")
@pytest.mark.spec("MQTT311-3.3.1-9")
def test_a_live_message_is_marked_as_retained_only_where_that_is_wanted(gateway, root):
    with (
        opened(gateway.port) as plain,
        opened(gateway.port) as marked,
        opened(gateway.port, version=V3) as old,
    ):
        plain.ask((root, 2))
        marked.ask((root, 2 | RETAIN_AS_PUBLISHED))
        old.ask((root, 2))
        plain.tell(root, b"1", flags=1)
        plain.tell(root, b"2")
        assert [one.retain for one in marked.take(2)] == [True, False]
        assert [one.retain for one in plain.take(2)] == [False, False]
        assert [one.retain for one in old.take(2)] == [False, False]
        plain.tell(root, b"", flags=1)


@pytest.mark.spec("MQTT5-3.3.2-4")
@pytest.mark.spec("MQTT5-3.3.2-15")
@pytest.mark.spec("MQTT5-3.3.2-16")
@pytest.mark.spec("MQTT5-3.3.2-17")
@pytest.mark.spec("MQTT5-3.3.2-18")
@pytest.mark.spec("MQTT5-3.3.2-20")
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_a_publisher_says_of_its_message_comes_unaltered(gateway, root, qos):
    said = {
        "PayloadFormatIndicator": 1,
        "ContentType": "My name",
        "ResponseTopic": f"{root}/answers",
        "CorrelationData": b"\x00334\xff",
        "UserProperty": [("c", "3"), ("a", "2"), ("c", "1"), ("", "")],
    }
    with opened(gateway.port) as client, opened(gateway.port) as publisher:
        client.ask((root, 2))
        publisher.deliver(root, b"", qos, **said)
        assert client.take(1)[0].properties == said


@pytest.mark.spec("MQTT5-3.3.2-6")
def test_the_time_that_is_left_is_told(gateway, root):
    with opened(gateway.port) as client:
        client.ask((root, 0))
        client.tell(root, b"", MessageExpiryInterval=60)
        assert 50 <= client.take(1)[0].properties["MessageExpiryInterval"] <= 60


@pytest.mark.spec("MQTT5-4.3.3-10")
@pytest.mark.spec("MQTT311-4.3.3-2")
@versions
def test_a_message_of_qos_2_that_is_sent_again_is_delivered_once(gateway, root, version):
    with opened(gateway.port, version=version) as client:
        client.ask((root, 0))
        for flags in (0, 8):
            client.tell(root, b"once", 2, packet_id=7, flags=flags)
            while (heard := client.hear()).kind != PUBREC:
                assert heard.payload == b"once"
        client.acknowledge(PUBREL, 7)
        while client.hear().kind != PUBCOMP:
            pass
        client.tell(root, b"marker")
        payloads = {one.payload for one in client.hear_until(PUBLISH)}
        assert payloads <= {b"once", b"marker"}


@pytest.mark.spec("MQTT5-4.3.2-5")
@pytest.mark.spec("MQTT5-4.3.3-12")
@versions
def test_an_identifier_that_is_free_again_is_a_new_message(gateway, root, version):
    with (
        opened(gateway.port, version=version) as client,
        opened(gateway.port, version=version) as listener,
    ):
        listener.ask((root, 0))
        client.deliver(root, b"1", 1, packet_id=7)
        client.deliver(root, b"2", 1, packet_id=7, flags=8)
        client.deliver(root, b"3", 2, packet_id=7)
        client.deliver(root, b"4", 2, packet_id=7, flags=8)
        assert [one.payload for one in listener.take(4)] == [b"1", b"2", b"3", b"4"]


@pytest.mark.spec("MQTT5-4.3.3-4")
@pytest.mark.spec("MQTT5-4.3.3-5")
@pytest.mark.spec("MQTT5-4.3.3-6")
@versions
def test_a_message_of_qos_2_goes_through_its_four_steps_across_connections(gateway, root, version):
    name = f"{root[-8:]}-{version}"
    with opened(gateway.port, name, version=version, **kept(version)) as client:
        client.ask((root, 2))
        with opened(gateway.port, version=version) as publisher:
            publisher.deliver(root, b"x", 2)
        first = client.hear_one(PUBLISH)
    with opened(gateway.port, name, version=version, **kept(version)) as client:
        again = client.hear_one(PUBLISH)
        assert (again.packet_id, again.dup, again.payload) == (first.packet_id, True, b"x")
        client.acknowledge(PUBREC, again.packet_id)
        assert client.hear_one(PUBREL).packet_id == again.packet_id
    with opened(gateway.port, name, version=version, **kept(version)) as client:
        assert client.hear_one(PUBREL).packet_id == again.packet_id
        client.acknowledge(PUBCOMP, again.packet_id)
        assert client.ping_is_answered()


@pytest.mark.spec("MQTT5-4.4.0-2")
@pytest.mark.spec("MQTT5-4.3.3-4")
@pytest.mark.parametrize(("qos", "kind"), [(1, PUBACK), (2, PUBREC)])
def test_a_message_that_the_client_refuses_is_not_sent_again(gateway, root, qos, kind):
    with opened(gateway.port, root[-8:], **KEEP) as client:
        client.ask((root, qos))
        with opened(gateway.port) as publisher:
            publisher.deliver(root, b"x", 2)
        client.acknowledge(kind, client.hear_one(PUBLISH).packet_id, 0x80)
        assert client.ping_is_answered()
    with opened(gateway.port, root[-8:], **KEEP) as client:
        client.tell(root, b"marker")
        assert client.take(1)[0].payload == b"marker"


@pytest.mark.spec("MQTT5-3.10.4-1")
@pytest.mark.spec("MQTT5-3.10.4-2")
@pytest.mark.spec("MQTT5-3.10.4-5")
@pytest.mark.spec("MQTT5-3.10.4-6")
@pytest.mark.spec("MQTT311-3.10.4-1")
@pytest.mark.spec("MQTT311-3.10.4-2")
@pytest.mark.spec("MQTT311-3.10.4-6")
@versions
def test_an_unsubscribe_takes_away_the_filter_that_it_spells_and_no_other(gateway, root, version):
    with opened(gateway.port, version=version) as client:
        client.ask((f"{root}/a", 0), (f"{root}/+/b", 0), (f"{root}/c", 0))
        unsuback = client.give_up(f"{root}/+", f"{root}/a", f"{root}/nothing", f"{root}/+/b")
        if version == V5:
            assert unsuback.codes == b"\x11\x00\x11\x00"
        for level in ("a", "x/b", "c"):
            client.tell(f"{root}/{level}", b"")
        assert client.take(1)[0].topic == f"{root}/c"


@pytest.mark.spec("MQTT5-3.10.4-3")
@pytest.mark.spec("MQTT311-3.10.4-3")
@versions
def test_what_was_begun_before_an_unsubscribe_is_gone_through_with(gateway, root, version):
    with opened(gateway.port, version=version) as client:
        client.ask((root, 2))
        with opened(gateway.port, version=version) as publisher:
            publisher.deliver(root, b"x", 2)
        heard = client.hear_one(PUBLISH)
        client.give_up(root)
        client.acknowledge(PUBREC, heard.packet_id)
        assert client.hear_one(PUBREL).packet_id == heard.packet_id


@pytest.mark.spec("MQTT5-3.8.4-3")
@pytest.mark.spec("MQTT311-3.8.4-3")
@versions
def test_subscribing_again_replaces_what_was_there(gateway, root, version):
    with opened(gateway.port, version=version) as client:
        client.ask((root, 2))
        client.ask((root, 0))
        with opened(gateway.port, version=version) as publisher:
            publisher.deliver(root, b"x", 2)
            publisher.deliver(root, b"y", 2)
        assert [(one.qos, one.payload) for one in client.take(2)] == [(0, b"x"), (0, b"y")]


@pytest.mark.spec("MQTT5-4.7.2-1")
@pytest.mark.spec("MQTT311-4.7.2-1")
@versions
def test_topics_that_begin_with_a_dollar_are_not_for_clients_to_publish(gateway, root, version):
    with opened(gateway.port, version=version) as client:
        client.ask(("#", 0), ("+/#", 0))
        client.tell(f"${root}", b"hidden", 1, packet_id=9)
        puback = client.hear_until(PUBACK)[-1]
        assert puback.codes == (b"\x87" if version == V5 else b"\x00")
        client.tell(root, b"seen")
        topics = []
        while root not in topics:
            topics.append(client.hear_one(PUBLISH).topic)
        assert not any(topic.startswith("$") for topic in topics)


@versions
def test_the_gateways_own_and_shared_topics_may_be_subscribed_to(gateway, version):
    with opened(gateway.port, version=version) as client:
        suback = client.ask(("$SYS/broker/missing", 0), ("$share/share/delivery/none", 0))
        assert suback.codes == b"\0\0"


@pytest.mark.spec("MQTT5-4.6.0-5")
@pytest.mark.spec("MQTT5-4.6.0-6")
@pytest.mark.spec("MQTT311-4.6.0-5")
@pytest.mark.spec("MQTT311-4.6.0-6")
@versions
def test_the_messages_of_a_topic_come_in_their_order(gateway, root, version):
    with opened(gateway.port, version=version) as client:
        client.ask((root, 1))
        with opened(gateway.port, version=version) as publisher:
            for number in range(100):
                publisher.tell(root, b"%d" % number, 1)
            heard = [int(one.payload) for one in client.take(100)]
        assert heard == list(range(100))


@pytest.mark.spec("MQTT5-4.7.1-1")
@pytest.mark.spec("MQTT5-4.7.1-2")
@versions
def test_filters_match_what_they_should(gateway, root, version):
    cases = {
        "#": {"a", "a/b", "a/b/c", ""},
        "+": {"a", ""},
        "+/b": {"a/b"},
        "a/#": {"a", "a/b", "a/b/c"},
        "+/+/#": {"a/b", "a/b/c"},
        "a/+/c": {"a/b/c"},
    }
    for pattern, expected in cases.items():
        with opened(gateway.port, version=version) as client:
            client.ask((f"{root}/{version}/{pattern}", 0), (f"{root}/end", 0))
            for topic in ("a", "a/b", "a/b/c", ""):
                client.tell(f"{root}/{version}/{topic}", topic.encode())
            client.tell(f"{root}/end", b"!")
            payloads = set()
            while (heard := client.hear_one(PUBLISH)).payload != b"!":
                payloads.add(heard.payload.decode())
            assert payloads == expected, pattern
