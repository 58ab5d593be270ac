from __future__ import annotations

import random

import pytest

from gateway.errors import ProtocolError
from gateway.mqtt import (
    Disconnect,
    Properties,
    ProtocolVersion,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    ReasonCode,
    decode_publish_properties,
)
from gateway.session import (
    Append,
    Appended,
    AppendRefused,
    CloseConnection,
    ConnectionLost,
    KeepState,
    PublishBatch,
    Release,
    Released,
    SessionState,
)

V3, V5 = ProtocolVersion.V3_1_1, ProtocolVersion.V5
BOTH = [V3, V5]
FULL = ReasonCode.QUOTA_EXCEEDED
FORBIDDEN = ReasonCode.NOT_AUTHORIZED


def qos_1(packet_id, topic="t", payload=b"x", **fields):
    return Publish(topic, payload, 1, packet_id, **fields)


def qos_2(packet_id, **fields):
    return Publish("t", b"x", 2, packet_id, **fields)


def ids(*numbers):
    return [number.to_bytes(2, "big") for number in numbers]


def aliased(topic, alias):
    return Publish(topic, b"x", properties=Properties(topic_alias=alias))


# QoS 0 and 1


@pytest.mark.parametrize("version", BOTH)
def test_a_message_of_qos_0_is_stored_and_not_answered(connected, version):
    script = connected(version)
    (append,) = script.publish(Publish("t", b"x", retain=True))
    assert append == Append(PublishBatch([b"t"], [b"x"], [1], []))
    assert script.feed(Appended([])) == []
    assert script.raw == b""


@pytest.mark.spec("MQTT311-4.6.0-2")
@pytest.mark.parametrize("version", BOTH)
def test_pubacks_leave_in_the_order_of_the_messages(connected, version):
    script = connected(version)
    script.publish(qos_1(5), Publish("t"), qos_1(3), qos_1(4))
    script.publish(qos_1(9))
    script.feed(Appended(ids(5, 3, 4)))
    assert script.sent == [Puback(5), Puback(3), Puback(4)]
    script.feed(Appended(ids(9)))
    assert script.sent == [Puback(9)]


def test_the_lane_and_the_general_path_ask_for_the_same(connected):
    packet = qos_1(7, "plant/ü", b"x", dup=True, retain=True)
    (by_lane,) = connected().publish(packet)
    (by_path,) = connected().feed(packet)
    assert (by_lane.batch.topics, by_lane.batch.flags) == (["plant/ü".encode()], [0b1011])
    assert by_path == by_lane


def test_properties_are_stored_as_on_the_wire_without_the_alias(connected):
    properties = Properties(message_expiry_interval_s=5, topic_alias=2, content_type="json")
    (append,) = connected().feed(qos_1(1, properties=properties))
    (stored,) = append.batch.properties
    assert decode_publish_properties(stored) == properties._replace(topic_alias=None)


@pytest.mark.spec("MQTT5-2.2.1-3")
@pytest.mark.spec("MQTT311-2.3.1-1")
@pytest.mark.parametrize("version", BOTH)
def test_packet_identifier_zero_refuses_the_whole_batch(connected, version):
    script = connected(version)
    batch = PublishBatch([b"t", b"t"], [b"", b""], [2, 2], ids(1, 0))
    assert script.feed(batch) == [CloseConnection(), KeepState(script.session.state)]
    assert script.sent == ([Disconnect(ReasonCode.PROTOCOL_ERROR)] if version is V5 else [])


# Receive maximum


def test_as_many_as_the_receive_maximum_may_wait(connected):
    script = connected(receive_maximum=3)
    assert len(script.publish(qos_1(1), qos_1(2), Publish("t"), Publish("t"), qos_1(3))) == 1


@pytest.mark.spec("MQTT5-3.3.4-7")
def test_more_than_the_receive_maximum_ends_the_conversation(connected):
    script = connected(receive_maximum=3)
    script.publish(qos_1(1), qos_1(2))
    effects = script.publish(qos_1(3), qos_1(4))
    assert effects == [CloseConnection(), KeepState(script.session.state)]
    assert script.sent == [Disconnect(ReasonCode.RECEIVE_MAXIMUM_EXCEEDED)]


def test_3_1_1_knows_no_receive_maximum(connected):
    script = connected(V3, receive_maximum=1)
    assert len(script.publish(qos_1(1), qos_1(2), qos_1(3))) == 1


@pytest.mark.parametrize("answer", [Appended(ids(1, 2)), AppendRefused(ids(1, 2), [], FULL)])
def test_an_answer_makes_room_for_more(connected, answer):
    script = connected(receive_maximum=2)
    for _ in range(5):
        assert len(script.publish(qos_1(1), qos_1(2))) == 1
        script.feed(answer)
        assert len(script.sent) == 2


def test_a_message_of_qos_2_makes_room_only_when_it_is_complete(connected):
    script = connected(receive_maximum=1)
    script.feed(qos_2(1))
    script.feed(Appended([], ids(1)))
    script.feed(Pubrel(1))
    assert CloseConnection() in script.feed(qos_1(2))
    script = connected(receive_maximum=1)
    for step in (qos_2(1), Appended([], ids(1)), Pubrel(1), Released(b"\x00\x01")):
        script.feed(step)
    assert isinstance(script.feed(qos_1(2))[0], Append)


def test_what_an_earlier_connection_left_unreleased_takes_no_room(connected):
    state = SessionState("c", received=dict.fromkeys(ids(1, 2)))
    script = connected(state=state, receive_maximum=1)
    assert isinstance(script.feed(qos_2(3))[0], Append)


# Refusals


@pytest.mark.parametrize("reason_code", [FULL, FORBIDDEN])
def test_version_5_is_told_of_each_message_that_was_not_stored(connected, reason_code):
    script = connected()
    script.publish(qos_1(5), Publish("t"), qos_1(3))
    script.feed(AppendRefused(ids(5, 3), [], reason_code))
    assert script.sent == [Puback(5, reason_code), Puback(3, reason_code)]
    script.feed(qos_2(7))
    script.feed(AppendRefused([], ids(7), reason_code))
    assert script.sent == [Pubrec(7, reason_code)]


def test_3_1_1_hears_nothing_of_what_it_should_send_again(connected):
    script = connected(V3)
    script.publish(qos_1(5))
    assert script.feed(AppendRefused(ids(5), [], FULL)) == []
    assert script.raw == b""


@pytest.mark.spec("MQTT311-3.3.5-2")
@pytest.mark.parametrize("reason_code", [FORBIDDEN, ReasonCode.PAYLOAD_FORMAT_INVALID])
def test_3_1_1_hears_an_acknowledgement_of_what_it_may_not_send(connected, reason_code):
    script = connected(V3)
    script.publish(qos_1(5))
    script.feed(AppendRefused(ids(5), [], reason_code))
    assert script.sent == [Puback(5)]


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize("reason_code", [FULL, FORBIDDEN])
def test_a_refused_message_of_qos_0_is_not_answered(connected, version, reason_code):
    script = connected(version)
    script.publish(Publish("t"))
    assert script.feed(AppendRefused([], [], reason_code)) == []
    assert script.raw == b""


# QoS 2


@pytest.mark.spec("MQTT5-4.3.3-8")
@pytest.mark.spec("MQTT5-4.3.3-11")
@pytest.mark.spec("MQTT311-4.3.3-2")
@pytest.mark.parametrize("version", BOTH)
def test_each_answer_of_qos_2_waits_for_its_commit(connected, version):
    script = connected(version)
    (append,) = script.feed(qos_2(1))
    assert (append.batch.received_ids, script.raw) == (ids(1), b"")
    assert script.feed(Appended([], ids(1))) == []
    assert script.sent == [Pubrec(1)]
    assert list(script.session.state.received) == ids(1)
    assert script.feed(Pubrel(1)) == [Release(b"\x00\x01")]
    assert (script.raw, list(script.session.state.received)) == (b"", [])
    assert script.feed(Released(b"\x00\x01")) == []
    assert script.sent == [Pubcomp(1)]


@pytest.mark.spec("MQTT5-4.3.3-10")
@pytest.mark.parametrize("version", BOTH)
def test_a_repetition_of_what_is_stored_is_answered_and_not_stored(connected, version):
    script = connected(version)
    script.feed(qos_2(1))
    script.feed(Appended([], ids(1)))
    assert script.feed(qos_2(1, dup=True)) == []
    assert script.sent == [Pubrec(1)]


def test_a_repetition_of_what_is_on_its_way_is_answered_with_it(connected):
    script = connected()
    script.feed(qos_2(1))
    assert script.feed(qos_2(1, dup=True)) == []
    assert script.raw == b""
    script.feed(Appended([], ids(1)))
    assert script.sent == [Pubrec(1)]


@pytest.mark.spec("MQTT5-4.3.3-9")
def test_after_a_refusal_the_same_identifier_is_a_new_message(connected):
    script = connected()
    script.feed(qos_2(1))
    script.feed(AppendRefused([], ids(1), FULL))
    assert isinstance(script.feed(qos_2(1))[0], Append)


@pytest.mark.spec("MQTT5-4.3.3-12")
def test_after_the_pubcomp_the_same_identifier_is_a_new_message(connected):
    script = connected()
    for step in (qos_2(1), Appended([], ids(1)), Pubrel(1), Released(b"\x00\x01")):
        script.feed(step)
    assert isinstance(script.feed(qos_2(1))[0], Append)


def test_a_repeated_release_is_answered_once_it_is_durable(connected):
    script = connected()
    for step in (qos_2(1), Appended([], ids(1)), Pubrel(1)):
        script.feed(step)
    assert (script.feed(Pubrel(1)), script.raw) == ([], b"")
    script.feed(Released(b"\x00\x01"))
    assert script.sent == [Pubcomp(1)]


@pytest.mark.parametrize(
    ("version", "reason_code"),
    [(V3, ReasonCode.SUCCESS), (V5, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND)],
)
def test_a_release_of_nothing_is_complete_at_once(connected, version, reason_code):
    script = connected(version)
    assert script.feed(Pubrel(1)) == []
    assert script.sent == [Pubcomp(1, reason_code)]


def test_a_session_that_comes_back_knows_what_it_has_received(connected):
    state = SessionState("c", received=dict.fromkeys(ids(1)))
    script = connected(state=state, is_present=True)
    assert script.feed(qos_2(1, dup=True)) == []
    assert script.sent == [Pubrec(1)]
    assert script.feed(Pubrel(1)) == [Release(b"\x00\x01")]


def test_a_release_that_an_earlier_connection_began_is_not_complete_before_it_is_durable(connected):
    state = SessionState("c", received=dict.fromkeys(ids(1)))
    earlier = connected(state=state, is_present=True)
    assert earlier.feed(Pubrel(1)) == [Release(b"\x00\x01")]
    script = connected(state=state, is_present=True)
    assert (script.feed(Pubrel(1)), script.sent) == ([Release(b"\x00\x01")], [])
    script.feed(Released(b"\x00\x01"))
    assert script.sent == [Pubcomp(1)]
    assert isinstance(script.feed(qos_2(1))[0], Append)


def test_what_is_stored_after_the_connection_ended_is_remembered(connected):
    script = connected()
    script.feed(qos_2(1))
    script.feed(ConnectionLost())
    assert (script.feed(Appended([], ids(1))), script.raw) == ([], b"")
    assert list(script.session.state.received) == ids(1)


def taken_over(connected, version=V5):
    """Two connections of one session: what the first has sent is on its way to the log."""
    first = connected(version)
    (append,) = first.feed(qos_2(1))
    first.feed(ConnectionLost())
    second = connected(version, state=first.session.state, is_present=True)
    return first, second, append.batch


@pytest.mark.parametrize("version", BOTH)
def test_a_repetition_across_a_takeover_is_answered_behind_the_first(connected, version):
    first, second, batch = taken_over(connected, version)
    (append,) = second.feed(qos_2(1, dup=True))
    assert (append.batch.topics, append.batch.received_ids) == ([], ids(1))
    assert second.feed(qos_2(1, dup=True)) == []
    first.feed(Appended([], batch.received_ids))
    assert second.feed(Appended([], append.batch.received_ids)) == []
    assert second.sent == [Pubrec(1)]
    assert second.feed(Pubrel(1)) == [Release(b"\x00\x01")]


def test_a_repetition_of_what_was_stored_meanwhile_is_answered_at_once(connected):
    first, second, batch = taken_over(connected)
    first.feed(Appended([], batch.received_ids))
    assert (second.feed(qos_2(1, dup=True)), second.sent) == ([], [Pubrec(1)])


def test_a_repetition_of_what_was_refused_is_a_new_message(connected):
    first, second, batch = taken_over(connected)
    first.feed(AppendRefused([], batch.received_ids, FULL))
    (append,) = second.feed(qos_2(1, dup=True))
    assert append.batch.topics == [b"t"]


def test_a_repetition_is_not_acknowledged_when_the_first_is_refused_behind_its_back(connected):
    first, second, batch = taken_over(connected)
    (append,) = second.feed(qos_2(1, dup=True))
    first.feed(AppendRefused([], batch.received_ids, FULL))
    assert second.feed(Appended([], append.batch.received_ids)) == []
    assert (second.raw, second.session.state.received) == (b"", {})


def test_an_identifier_that_was_refused_is_free_even_if_its_message_is_stored(connected):
    first, second, batch = taken_over(connected)
    second.feed(qos_2(1, dup=True))
    first.feed(Appended([], batch.received_ids))
    second.feed(AppendRefused([], ids(1), FULL))
    assert second.sent == [Pubrec(1, FULL)]
    (append,) = second.feed(qos_2(1))
    assert append.batch.topics == [b"t"]


class RepeatingClient:
    """A client that repeats itself at random, and a store that answers when it likes."""

    def __init__(self, script, seed):
        self.script = script
        self.rng = random.Random(seed)
        self.sent_ids = []
        self.stored_ids = []
        self.waiting = []
        self.unreceived = {}
        self.unreleased = {}

    def step(self):
        move = self.rng.choice([self.send, self.repeat, self.release, self.store, self.store])
        move()

    def feed(self, incoming):
        self.waiting += self.script.feed(incoming)
        for answer in self.script.sent:
            if isinstance(answer, Pubrec):
                if self.unreceived.pop(answer.packet_id, None):
                    self.unreleased[answer.packet_id] = True
            else:
                self.unreleased.pop(answer.packet_id, None)

    def send(self):
        packet_id = self.rng.randint(1, 8)
        if packet_id not in self.unreceived | self.unreleased:
            self.unreceived[packet_id] = True
            self.sent_ids += ids(packet_id)
            self.feed(qos_2(packet_id))

    def repeat(self):
        for packet_id in self.rng.sample(list(self.unreceived), k=min(1, len(self.unreceived))):
            self.feed(qos_2(packet_id, dup=True))

    def release(self):
        for packet_id in self.rng.sample(list(self.unreleased), k=min(1, len(self.unreleased))):
            self.feed(Pubrel(packet_id))

    def store(self):
        effect = self.waiting.pop(0) if self.waiting else None
        if isinstance(effect, Append):
            self.stored_ids += effect.batch.received_ids
            self.feed(Appended([], effect.batch.received_ids))
        elif effect is not None:
            self.feed(Released(effect.packet_id))


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_client_repeats_each_message_of_qos_2_is_stored_once(connected, seed):
    client = RepeatingClient(connected(), seed)
    for _ in range(300):
        client.step()
    while client.waiting:
        client.store()
    assert len(client.sent_ids) > 20
    assert client.stored_ids == client.sent_ids


# Topic aliases


def test_an_alias_stands_for_the_topic_that_it_was_sent_with(connected):
    script = connected()
    for packet, topic in [
        (aliased("a", 1), b"a"),
        (aliased("", 1), b"a"),
        (aliased("b", 100), b"b"),
        (aliased("c", 1), b"c"),
        (aliased("", 1), b"c"),
        (aliased("", 100), b"b"),
    ]:
        (append,) = script.feed(packet)
        assert (append.batch.topics, append.batch.properties) == ([topic], None)


@pytest.mark.spec("MQTT5-3.3.2-9")
@pytest.mark.parametrize("topic", ["a", ""])
def test_an_alias_beyond_the_maximum_is_refused(connected, topic):
    script = connected(topic_alias_maximum=3)
    with pytest.raises(ProtocolError) as caught:
        script.feed(aliased(topic, 4))
    assert caught.value.reason_code == ReasonCode.TOPIC_ALIAS_INVALID


def test_an_alias_that_stands_for_nothing_is_refused(connected):
    with pytest.raises(ProtocolError) as caught:
        connected().feed(aliased("", 1))
    assert caught.value.reason_code == ReasonCode.PROTOCOL_ERROR


def test_an_alias_is_forgotten_with_its_connection(connected):
    script = connected()
    script.feed(aliased("a", 1))
    script.feed(ConnectionLost())
    again = connected(state=script.session.state, is_present=True)
    with pytest.raises(ProtocolError):
        again.feed(aliased("", 1))
