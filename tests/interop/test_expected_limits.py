"""What clients of MQTT 5 expect of the limits that both ends announce: windows, sizes, aliases."""

from __future__ import annotations

import uuid

import pytest

from tests.harness.raw_client import PUBACK, PUBLISH, PUBREC
from tests.harness.scripted_client import PUBCOMP, PUBREL, ScriptedClient, opened

pytestmark = pytest.mark.interop
V3 = 4
KEEP = {"clean": False, "SessionExpiryInterval": 60}


@pytest.fixture
def root():
    """A topic that no other test uses."""
    return f"limits/{uuid.uuid4().hex[:8]}"


def publish(gateway, topic, *payloads, qos=1):
    with opened(gateway.port) as publisher:
        for payload in payloads:
            publisher.deliver(topic, payload, qos)


# Flow control


@pytest.mark.spec("MQTT5-3.3.4-9")
@pytest.mark.spec("MQTT5-4.9.0-1")
@pytest.mark.spec("MQTT5-4.9.0-2")
@pytest.mark.parametrize(("qos", "kinds"), [(1, (PUBACK,)), (2, (PUBREC, PUBCOMP))])
def test_no_more_is_sent_than_the_client_can_receive(gateway, root, qos, kinds):
    with opened(gateway.port, ReceiveMaximum=2) as client:
        client.ask((root, 2))
        publish(gateway, root, b"1", b"2", b"3", b"4", qos=qos)
        first, second = client.hear_one(PUBLISH), client.hear_one(PUBLISH)
        assert client.ping_is_answered()
        for kind in kinds:
            client.acknowledge(kind, first.packet_id)
            if kind == PUBREC:
                assert client.hear_one(PUBREL).packet_id == first.packet_id
                assert client.ping_is_answered()
        third = client.hear_one(PUBLISH)
        assert [one.payload for one in (first, second, third)] == [b"1", b"2", b"3"]
        assert client.ping_is_answered()


@pytest.mark.spec("MQTT5-3.3.4-10")
@pytest.mark.spec("MQTT5-4.9.0-3")
def test_a_full_window_holds_up_nothing_else(gateway, root):
    with opened(gateway.port, ReceiveMaximum=1) as client:
        client.ask((root, 1))
        publish(gateway, root, b"1", b"2")
        client.hear_one(PUBLISH)
        client.deliver(f"{root}/own", b"x", 2)
        client.ask((f"{root}/more", 0))
        client.give_up(f"{root}/more")
        assert client.ping_is_answered()


@pytest.mark.spec("MQTT5-4.9.0-1")
@pytest.mark.spec("MQTT5-4.9.0-2")
def test_what_comes_again_keeps_to_the_window_of_the_new_connection(gateway, root):
    name = root[-8:]
    with opened(gateway.port, name, **KEEP) as client:
        client.ask((root, 1))
        publish(gateway, root, *(b"%d" % number for number in range(6)))
        ids = [client.hear_one(PUBLISH).packet_id for _ in range(6)]
    with opened(gateway.port, name, ReceiveMaximum=2, **KEEP) as client:
        for number in range(0, 6, 2):
            pair = [client.hear_one(PUBLISH) for _ in range(2)]
            assert [one.packet_id for one in pair] == ids[number : number + 2]
            assert all(one.dup for one in pair)
            assert client.ping_is_answered()
            for one in pair:
                client.acknowledge(PUBACK, one.packet_id)
        publish(gateway, root, b"new")
        assert client.take(1)[0].payload == b"new"


@pytest.mark.spec("MQTT5-3.3.4-7")
def test_who_sends_more_than_the_server_can_receive_is_closed(gateway, root):
    with ScriptedClient(gateway.port) as client:
        most = client.open().properties["ReceiveMaximum"]
        for number in range(most):
            client.tell(root, b"%d" % number, 2)
        for _ in range(most):
            client.hear_one(PUBREC)
        assert client.ping_is_answered()
        client.tell(root, b"one too many", 2)
        assert client.farewell().code == 0x93


# Sizes


@pytest.mark.spec("MQTT5-3.1.2-24")
@pytest.mark.spec("MQTT5-3.1.2-25")
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_that_the_client_can_not_take_counts_as_sent(gateway, root, qos):
    with opened(gateway.port, MaximumPacketSize=64, ReceiveMaximum=1) as client:
        client.ask((root, 2))
        publish(gateway, root, b"." * 20, b"." * 64, b"!" * 20, qos=qos)
        assert [one.payload for one in client.take(2)] == [b"." * 20, b"!" * 20]


@pytest.mark.spec("MQTT5-3.1.2-25")
def test_what_comes_again_and_is_too_large_now_counts_as_sent(gateway, root):
    name = root[-8:]
    with opened(gateway.port, name, **KEEP) as client:
        client.ask((root, 1))
        publish(gateway, root, b"." * 100, b"small")
        assert [client.hear_one(PUBLISH).payload for _ in range(2)] == [b"." * 100, b"small"]
    with opened(gateway.port, name, MaximumPacketSize=64, **KEEP) as client:
        assert client.take(1)[0].payload == b"small"
    with opened(gateway.port, name, **KEEP) as client:
        publish(gateway, root, b"new")
        assert client.take(1)[0].payload == b"new"


def test_a_packet_above_the_servers_size_ends_the_connection(gateway, root):
    with ScriptedClient(gateway.port) as client:
        most = client.open().properties["MaximumPacketSize"]
        client.send(b"\x30" + bytes([most & 127 | 128, most >> 7 & 127 | 128, most >> 14]))
        assert client.farewell().code == 0x95


# Topic aliases


@pytest.mark.spec("MQTT5-3.3.2-12")
def test_an_alias_of_the_client_stands_for_its_topic(gateway, root):
    with ScriptedClient(gateway.port) as client:
        most = client.open().properties["TopicAliasMaximum"]
        client.ask((f"{root}/#", 0))
        for alias in (1, most):
            client.tell(f"{root}/{alias}", b"named", TopicAlias=alias)
            client.tell("", b"alias", TopicAlias=alias)
        client.tell(f"{root}/other", b"changed", TopicAlias=1)
        client.tell("", b"alias", TopicAlias=1)
        heard = client.take(6)
        topics = [f"{root}/1"] * 2 + [f"{root}/{most}"] * 2 + [f"{root}/other"] * 2
        assert [one.topic for one in heard] == topics
        assert not any("TopicAlias" in one.properties for one in heard)


@pytest.mark.spec("MQTT5-3.3.2-7")
@pytest.mark.parametrize(
    ("alias", "code"), [(0, 0x94), (65_535, 0x94), (3, 0x82)], ids=["zero", "beyond", "unknown"]
)
def test_an_alias_that_stands_for_nothing_ends_the_connection(gateway, root, alias, code):
    name = root[-8:]
    with opened(gateway.port, name, **KEEP) as client:
        client.deliver(root, b"", 1, TopicAlias=3)
        client.leave()
    with opened(gateway.port, name, **KEEP) as client:
        body = b"\0\0" + b"\x03\x23" + alias.to_bytes(2, "big")
        client.say(PUBLISH, body)
        assert client.farewell().code == code


@pytest.mark.spec("MQTT5-3.1.2-26")
@pytest.mark.spec("MQTT5-3.3.2-11")
def test_the_server_uses_as_many_aliases_as_it_may(gateway, root):
    with opened(gateway.port, TopicAliasMaximum=1) as client:
        client.ask((f"{root}/#", 2))
        with opened(gateway.port) as publisher:
            for qos in range(3):
                publisher.deliver(f"{root}/a", b"", qos)
            publisher.deliver(f"{root}/b", b"", 1)
        first, second, third, other = client.take(4)
        alias = first.properties["TopicAlias"]
        assert (first.topic, alias) == (f"{root}/a", 1)
        assert [(one.topic, one.properties["TopicAlias"]) for one in (second, third)] == [
            ("", 1),
            ("", 1),
        ]
        assert (other.topic, "TopicAlias" in other.properties) == (f"{root}/b", False)


@pytest.mark.spec("MQTT5-3.1.2-27")
@pytest.mark.parametrize("asked", [{}, {"TopicAliasMaximum": 0}], ids=["absent", "zero"])
def test_without_leave_the_server_uses_no_alias(gateway, root, asked):
    with opened(gateway.port, **asked) as client:
        client.ask((root, 0))
        publish(gateway, root, b"1", b"2")
        assert [(one.topic, one.properties) for one in client.take(2)] == [(root, {})] * 2


def test_aliases_of_endless_topics_are_refused(gateway, root):
    with opened(gateway.port) as client:
        client.tell(root + "x" * 40_000, TopicAlias=1)
        client.tell(root + "y" * 40_000, TopicAlias=2)
        assert client.farewell().code == 0x97


@pytest.mark.parametrize("version", [V3, 5], ids=["3.1.1", "5"])
def test_topics_and_filters_of_endless_levels_are_refused(gateway, version):
    with opened(gateway.port, version=version) as client:
        assert client.ask(("/" * 65_535, 0)).codes == (b"\x80" if version == V3 else b"\x8f")
        client.tell("/" * 65_535, b"", 1)
        last = client.farewell()
        assert (last and last.code) == (None if version == V3 else 0x90)


def test_a_topic_of_the_most_bytes_is_served(gateway, root):
    topic = root + "x" * (65_535 - len(root))
    with opened(gateway.port) as client:
        client.ask((topic, 1))
        client.tell(topic, b"long", 0)
        assert client.take(1)[0].topic == topic


# Shared subscriptions


@pytest.mark.spec("MQTT5-4.8.2-1")
@pytest.mark.spec("MQTT5-4.8.2-3")
@pytest.mark.parametrize("version", [V3, 5], ids=["3.1.1", "5"])
def test_each_message_goes_to_one_of_a_group_and_to_every_other_subscriber(gateway, root, version):
    share = f"$share/{root[-8:]}/{root}/x"
    with (
        opened(gateway.port, version=version) as one,
        opened(gateway.port, version=version) as two,
    ):
        for client in (one, two):
            client.ask((share, 1), (f"{root}/plain", 1))
        publish(gateway, f"{root}/plain", b"both")
        assert [client.take(1)[0].payload for client in (one, two)] == [b"both", b"both"]
        publish(gateway, f"{root}/x", b"once", qos=2)
        publish(gateway, f"{root}/plain", b"end")
        heard = [[client.hear_one(PUBLISH)] for client in (one, two)]
        for client, found in zip((one, two), heard, strict=True):
            if found[0].payload == b"once":
                found.append(client.hear_one(PUBLISH))
        payloads = sorted(one.payload for found in heard for one in found)
        assert payloads == [b"end", b"end", b"once"]
        assert {one.qos for found in heard for one in found} == {1}


@pytest.mark.spec("MQTT5-4.8.2-6")
def test_what_a_member_refuses_goes_to_no_other(gateway, root):
    share = (f"$share/{root[-8:]}/{root}/x", 1)
    with opened(gateway.port) as one:
        one.ask(share)
        publish(gateway, f"{root}/x", b"refused")
        one.acknowledge(PUBACK, one.hear_one(PUBLISH).packet_id, 0x80)
        assert one.ping_is_answered()
        with opened(gateway.port) as two:
            two.ask(share)
            one.leave()
            publish(gateway, f"{root}/x", b"marker")
            assert two.take(1)[0].payload == b"marker"


@pytest.mark.spec("MQTT5-4.8.2-4")
def test_a_message_of_qos_2_stays_with_the_member_that_may_have_it(gateway, root):
    name, share = root[-8:], (f"$share/{root[-8:]}/{root}/x", 2)
    with opened(gateway.port, name, **KEEP) as one:
        one.ask(share)
        publish(gateway, f"{root}/x", b"begun", qos=2)
        packet_id = one.hear_one(PUBLISH).packet_id
        with opened(gateway.port) as two:
            two.ask(share)
            one.leave()
            publish(gateway, f"{root}/x", b"marker")
            assert two.take(1)[0].payload == b"marker"
    with opened(gateway.port, name, **KEEP) as one:
        again = one.hear_one(PUBLISH)
        assert (again.payload, again.packet_id, again.dup) == (b"begun", packet_id, True)


@pytest.mark.spec("MQTT5-4.8.2-5")
def test_a_message_of_qos_2_ends_with_the_session_that_may_have_it(gateway, root):
    share = (f"$share/{root[-8:]}/{root}/x", 2)
    with opened(gateway.port) as one, opened(gateway.port) as two:
        one.ask(share)
        publish(gateway, f"{root}/x", b"begun", qos=2)
        one.hear_one(PUBLISH)
        two.ask(share)
        one.leave()
        publish(gateway, f"{root}/x", b"marker")
        assert two.take(1)[0].payload == b"marker"


@pytest.mark.spec("MQTT5-4.3.3-13")
def test_a_message_that_lives_for_no_time_is_gone_through_with(gateway, root):
    with opened(gateway.port) as client:
        client.ask((root, 2))
        client.deliver(root, b"gone", 2, MessageExpiryInterval=0)
        client.deliver(root, b"there", 0)
        assert client.take(1)[0].payload == b"there"


@pytest.mark.spec("MQTT5-3.3.4-7")
def test_who_goes_on_with_what_it_began_still_reads_why_it_was_closed(gateway, root):
    """As Paho's suite does: it answers each PUBREC before it comes to the DISCONNECT."""
    with ScriptedClient(gateway.port) as client:
        most = client.open().properties["ReceiveMaximum"]
        for number in range(most + 1):
            client.tell(root, b"%d" % number, 2)
        while (heard := client.hear()).kind == PUBREC:
            client.acknowledge(PUBREL, heard.packet_id)
        assert heard.code == 0x93
