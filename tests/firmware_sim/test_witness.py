from __future__ import annotations

from firmware_sim.line import LineOptions
from firmware_sim.witness import Witness
from gateway.mqtt import (
    Connack,
    Puback,
    Publish,
    ReasonCode,
    Suback,
    Subscribe,
    Unsubscribe,
    decode_packet,
    encode_packet,
)

OPTIONS = LineOptions("witness")
GRANTED = Suback(1, (ReasonCode.GRANTED_QOS_1,) * 2)


def packets_in(effects):
    found = []
    for effect in effects:
        at = 0
        while at < len(getattr(effect, "payload", b"")):
            packet, at = decode_packet(effect.payload, at, OPTIONS.version, 1 << 20)
            found.append(packet)
    return found


def hear(witness, *packets):
    arrived = b"".join(encode_packet(packet, OPTIONS.version) for packet in packets)
    return packets_in(witness.received(arrived, 0))


def connected():
    seen = []
    witness = Witness(OPTIONS, ["a/+", "b/#"], lambda *message: seen.append(message), key=1)
    witness.line.wake(0)
    witness.advance(0)
    witness.opened(0)
    (subscribe,) = hear(witness, Connack())
    assert isinstance(subscribe, Subscribe)
    return witness, seen, subscribe


def test_a_witness_subscribes_to_all_its_filters_at_qos_1():
    witness, _, subscribe = connected()
    assert [(s.topic_filter, s.maximum_qos) for s in subscribe.subscriptions] == [
        ("a/+", 1),
        ("b/#", 1),
    ]
    assert not witness.is_ready
    hear(witness, GRANTED)
    assert witness.is_ready


def test_deliveries_are_passed_on_and_acknowledged_in_order():
    witness, seen, _ = connected()
    hear(witness, GRANTED)
    answers = hear(
        witness,
        Publish("a/1", b"x", qos=1, packet_id=4),
        Publish("b/2", b"y"),
        Publish("a/1", b"z", qos=1, packet_id=5),
    )
    assert seen == [("a/1", b"x"), ("b/2", b"y"), ("a/1", b"z")]
    assert answers == [Puback(4), Puback(5)]
    assert witness.deliveries == 3


def test_a_refused_subscription_is_named():
    witness, _, _ = connected()
    hear(witness, Suback(1, (ReasonCode.GRANTED_QOS_1, ReasonCode.UNSPECIFIED_ERROR)))
    assert not witness.is_ready
    assert witness.refusal == "UNSPECIFIED_ERROR"


def test_a_witness_that_lost_its_connection_is_not_ready():
    witness, _, _ = connected()
    hear(witness, GRANTED)
    witness.lost(5, "gone")
    assert not witness.is_ready
    assert witness.next_due_ms is not None


def test_a_witness_unsubscribes_before_it_leaves():
    witness, _, _ = connected()
    unsubscribe, _goodbye = packets_in(witness.close(5))
    assert unsubscribe == Unsubscribe(1, ("a/+", "b/#"))
    assert witness.block(5, is_blocked=True) == []


def test_what_a_witness_was_once_granted_it_remembers_through_a_lost_connection():
    witness, _, _ = connected()
    hear(witness, Suback(1, (ReasonCode.UNSPECIFIED_ERROR,) * 2))
    assert witness.granted_on == 0
    hear(witness, GRANTED)
    witness.lost(0, "gone")
    assert witness.granted_on == 1
    assert not witness.is_ready
