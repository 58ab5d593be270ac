from __future__ import annotations

import pytest

from firmware_sim.account import Account, Tally
from firmware_sim.effects import Dial
from firmware_sim.line import LineOptions
from firmware_sim.outbox import Outgoing
from firmware_sim.publisher import Publisher
from firmware_sim.wire import PublishFrame
from gateway.mqtt import (
    Connack,
    Properties,
    ProtocolVersion,
    Puback,
    Publish,
    ReasonCode,
    decode_packet,
    encode_packet,
)

V3, V5 = ProtocolVersion.V3_1_1, ProtocolVersion.V5


class Script:
    """A publisher and a server that answers as it is told."""

    def __init__(self, version=V3, in_flight_max=3):
        self.version = version
        self.tally = Tally()
        self.publisher = Publisher(
            LineOptions("x", version, response_ms=5_000, back_off_first_ms=10),
            Account(self.tally, keeps_readings=False),
            key=1,
            waiting_max=100,
            in_flight_max=in_flight_max,
        )
        self.frame = PublishFrame("a", 1, version)

    def connect(self, now_ms=0, answer=None):
        self.publisher.line.wake(now_ms)
        assert self.publisher.advance(now_ms) == [Dial()]
        self.publisher.opened(now_ms)
        return self.hear(answer or Connack(), now_ms)

    def hear(self, packet, now_ms=0):
        return self.sent(self.publisher.received(encode_packet(packet, self.version), now_ms))

    def offer(self, *seqs, now_ms=0):
        readings = [Outgoing(seq, self.frame, b"%d" % seq) for seq in seqs]
        return self.sent(self.publisher.offer(readings, now_ms))

    def sent(self, effects):
        """(payload, packet id, dup) of every PUBLISH among the effects."""
        found = []
        for effect in effects:
            at = 0
            while at < len(getattr(effect, "payload", b"")):
                packet, at = decode_packet(effect.payload, at, self.version, 1 << 20)
                if isinstance(packet, Publish):
                    found.append((int(packet.payload), packet.packet_id, packet.dup))
        return found


def test_nothing_is_sent_before_the_server_accepts():
    script = Script()
    assert script.offer(0, 1) == []
    assert script.connect() == [(0, 1, False), (1, 2, False)]


def test_an_acknowledgement_makes_room_for_the_next():
    script = Script(in_flight_max=2)
    script.connect()
    assert script.offer(0, 1, 2) == [(0, 1, False), (1, 2, False)]
    assert script.hear(Puback(1)) == [(2, 3, False)]
    script.hear(Puback(2))
    script.hear(Puback(3))
    assert script.publisher.is_idle


def test_after_a_lost_connection_all_unacknowledged_is_sent_again_before_the_rest():
    script = Script()
    script.connect()
    script.offer(0, 1, 2)
    script.hear(Puback(2))
    script.publisher.lost(50, "gone")
    script.offer(3, 4, now_ms=60)
    assert script.connect(100) == [(0, 1, True), (2, 3, True), (3, 4, False)]
    assert script.tally.repeats == 2


@pytest.mark.spec("MQTT5-3.2.2-5")
def test_a_server_without_the_session_gets_everything_as_new():
    script = Script(V5)
    script.connect()
    script.offer(0, 1)
    script.publisher.lost(50, "gone")
    assert script.connect(100) == [(0, 3, False), (1, 4, False)]
    assert script.tally.repeats == 2


def test_a_server_that_kept_the_session_gets_repeats():
    script = Script(V5)
    script.connect()
    script.offer(0)
    script.publisher.lost(50, "gone")
    assert script.connect(100, Connack(session_present=True)) == [(0, 1, True)]


@pytest.mark.spec("MQTT5-3.3.4-9")
def test_the_receive_maximum_of_the_server_bounds_the_window():
    script = Script(V5)
    script.connect(answer=Connack(properties=Properties(receive_maximum=1)))
    assert script.offer(0, 1) == [(0, 1, False)]


def test_a_refused_publish_is_let_go():
    script = Script(V5)
    script.connect()
    script.offer(0)
    script.hear(Puback(1, ReasonCode.QUOTA_EXCEEDED))
    assert script.publisher.is_idle
    assert script.tally.refused == 1


def test_a_full_socket_holds_back_and_an_empty_one_lets_go():
    script = Script()
    script.connect()
    assert script.publisher.block(0, is_blocked=True) == []
    assert script.offer(0) == []
    assert script.sent(script.publisher.block(0, is_blocked=False)) == [(0, 1, False)]


def test_a_server_that_stops_acknowledging_is_left():
    script = Script()
    script.connect()
    script.offer(0, 1, now_ms=1_000)
    script.hear(Puback(1), 3_000)
    assert script.publisher.line.next_due_ms == 8_000
    script.publisher.advance(8_000)
    assert script.publisher.line.latest_error == "no answer for 5000 ms"
