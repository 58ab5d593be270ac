from __future__ import annotations

import pytest

from firmware_sim.sink import Sink, Taken
from gateway.errors import MqttError
from gateway.mqtt import (
    Connack,
    Connect,
    Disconnect,
    Pingreq,
    Pingresp,
    ProtocolVersion,
    Puback,
    Publish,
    ReasonCode,
    Sender,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    decode_packet,
    encode_packet,
)

VERSIONS = list(ProtocolVersion)


class Caller:
    """A client of a sink, in one process with it."""

    def __init__(self, sink, version=ProtocolVersion.V3_1_1, client_id="x"):
        self.version = version
        self.arrived = b""
        self.connection = sink.connect(self._hear)
        self.say(Connect(client_id, version))

    def _hear(self, arrived):
        self.arrived += arrived

    def say(self, *packets):
        self.connection.received(b"".join(encode_packet(p, self.version) for p in packets))

    def answers(self):
        found, at = [], 0
        while at < len(self.arrived):
            packet, at = decode_packet(self.arrived, at, self.version, 1 << 20, Sender.SERVER)
            found.append(packet)
        self.arrived = b""
        return found


@pytest.mark.parametrize("version", VERSIONS)
def test_a_sink_answers_what_asks_for_an_answer(version):
    caller = Caller(Sink(), version)
    caller.say(Publish("a", b"1"), Publish("a", b"2", qos=1, packet_id=7), Pingreq())
    assert caller.answers() == [Connack(), Puback(7), Pingresp()]


def test_a_sink_keeps_everything_in_order():
    sink = Sink()
    caller = Caller(sink, client_id="pump-1")
    caller.say(Publish("a", b"1"), Publish("b", b"2", qos=1, packet_id=7, dup=True))
    assert sink.taken == [
        Taken("pump-1", "a", b"1", 0, 0, dup=False),
        Taken("pump-1", "b", b"2", 1, 7, dup=True),
    ]


def test_packets_may_arrive_in_pieces():
    sink = Sink()
    caller = Caller(sink)
    for byte in encode_packet(Publish("a", b"1", qos=1, packet_id=7), caller.version):
        caller.connection.received(bytes([byte]))
    assert caller.answers() == [Connack(), Puback(7)]


@pytest.mark.parametrize("version", VERSIONS)
def test_subscribers_hear_what_others_publish_until_they_leave(version):
    sink = Sink()
    listener, speaker = Caller(sink, version), Caller(sink, version)
    listener.say(Subscribe(3, (Subscription("#", maximum_qos=1),)))
    speaker.say(Publish("a", b"1"))
    listener.say(Unsubscribe(4, ("#",)))
    speaker.say(Publish("a", b"2"))
    codes = () if version is ProtocolVersion.V3_1_1 else (ReasonCode.SUCCESS,)
    assert listener.answers() == [
        Connack(),
        Suback(3, (ReasonCode.GRANTED_QOS_1,)),
        Publish("a", b"1", qos=1, packet_id=1),
        Unsuback(4, codes),
    ]


def test_a_sink_may_refuse_and_may_stay_silent():
    sink = Sink(accept=lambda connect: ReasonCode.NOT_AUTHORIZED)
    assert Caller(sink).answers() == [Connack(reason_code=ReasonCode.NOT_AUTHORIZED)]
    silent = Sink()
    silent.acknowledges = False
    caller = Caller(silent)
    caller.say(Publish("a", b"1", qos=1, packet_id=7), Disconnect())
    assert caller.answers() == [Connack()]
    assert len(silent.taken) == 1


def test_a_client_that_breaks_the_protocol_is_an_error():
    with pytest.raises(MqttError):
        Sink().connect(lambda _: None).received(bytes.fromhex("c000"))
