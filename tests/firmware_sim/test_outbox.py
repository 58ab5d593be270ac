from __future__ import annotations

import pytest

from firmware_sim.outbox import FIRST_MAX, Outbox, Outgoing
from firmware_sim.wire import PublishFrame
from gateway.mqtt import ProtocolVersion, decode_packet

VERSION = ProtocolVersion.V3_1_1
AT_LEAST_ONCE = PublishFrame("a", 1, VERSION)
AT_MOST_ONCE = PublishFrame("a", 0, VERSION)


class Notes:
    """A journal that can be read."""

    def __init__(self):
        self.lines = []

    def sent(self, seq, *, is_repeat):
        self.lines.append(("again" if is_repeat else "sent", seq))

    def acknowledged(self, seq, latency_ms):
        self.lines.append(("acknowledged", seq, latency_ms))

    def refused(self, seq):
        self.lines.append(("refused", seq))

    def overflowed(self, seq):
        self.lines.append(("overflowed", seq))

    def served(self, what):
        self.lines.append((what, -1))


def make(waiting_max=10, in_flight_max=3):
    notes = Notes()
    return Outbox(notes, waiting_max=waiting_max, in_flight_max=in_flight_max), notes


def reading(seq, frame=AT_LEAST_ONCE):
    return Outgoing(seq, frame, b"%d" % seq)


def decoded(packets):
    """(payload, packet id, dup) of each PUBLISH."""
    found, at = [], 0
    while at < len(packets):
        packet, at = decode_packet(packets, at, VERSION, 1 << 20)
        found.append((int(packet.payload), packet.packet_id, packet.dup))
    return found


def offer_all(outbox, seqs, frame=AT_LEAST_ONCE):
    for seq in seqs:
        outbox.offer(reading(seq, frame))


def test_the_window_holds_back_what_exceeds_it():
    outbox, _ = make()
    offer_all(outbox, range(5))
    assert decoded(outbox.take_sendable(0)) == [(0, 1, False), (1, 2, False), (2, 3, False)]
    assert outbox.take_sendable(0) == b""
    outbox.acknowledge(2, 0)
    assert decoded(outbox.take_sendable(0)) == [(3, 4, False)]


def test_no_window_holds_back_qos_0():
    outbox, _ = make()
    offer_all(outbox, range(5), AT_MOST_ONCE)
    assert [seq for seq, _, _ in decoded(outbox.take_sendable(0))] == [0, 1, 2, 3, 4]
    assert outbox.in_flight == 0


@pytest.mark.spec("MQTT5-4.4.0-1")
@pytest.mark.spec("MQTT311-4.4.0-1")
def test_repeats_keep_their_order_and_their_identifiers():
    outbox, notes = make()
    offer_all(outbox, range(3))
    outbox.take_sendable(0)
    outbox.acknowledge(2, 0)
    assert decoded(outbox.take_repeats(50)) == [(0, 1, True), (2, 3, True)]
    assert notes.lines[-2:] == [("again", 0), ("again", 2)]


def test_latency_counts_from_the_latest_time_that_it_was_sent():
    outbox, notes = make()
    offer_all(outbox, range(2))
    outbox.take_sendable(100)
    outbox.acknowledge(1, 107)
    outbox.take_repeats(500)
    outbox.acknowledge(2, 503)
    assert [line for line in notes.lines if line[0] == "acknowledged"] == [
        ("acknowledged", 0, 7),
        ("acknowledged", 1, 3),
    ]


def test_a_full_buffer_gives_up_the_oldest():
    outbox, notes = make(waiting_max=3)
    offer_all(outbox, range(5))
    assert notes.lines == [("overflowed", 0), ("overflowed", 1)]
    assert [seq for seq, _, _ in decoded(outbox.take_sendable(0))] == [2, 3, 4]
    assert outbox.room == 3


def test_a_forgotten_session_is_sent_as_new_and_first():
    outbox, notes = make(in_flight_max=2)
    offer_all(outbox, range(4))
    outbox.take_sendable(0)
    outbox.forget_session()
    assert (outbox.in_flight, outbox.waiting) == (0, 4)
    assert decoded(outbox.take_sendable(9)) == [(0, 3, False), (1, 4, False)]
    assert notes.lines[-2:] == [("again", 0), ("again", 1)]


def test_a_forgotten_session_keeps_the_bound_of_the_buffer():
    outbox, notes = make(waiting_max=3, in_flight_max=2)
    offer_all(outbox, range(2))
    outbox.take_sendable(0)
    offer_all(outbox, range(2, 5))
    outbox.forget_session()
    assert notes.lines[-2:] == [("overflowed", 0), ("overflowed", 1)]
    assert outbox.waiting == 3


@pytest.mark.spec("MQTT5-2.2.1-3")
@pytest.mark.spec("MQTT311-2.3.1-2")
def test_an_identifier_in_use_is_not_given_again():
    outbox, _ = make(waiting_max=10, in_flight_max=10)
    outbox.offer(reading(0))
    outbox.take_sendable(0)
    for seq in range(1, 65_535):
        outbox.offer(reading(seq))
        (_, packet_id, _), *_ = decoded(outbox.take_sendable(0))
        outbox.acknowledge(packet_id, 0)
    outbox.offer(reading(70_000))
    assert decoded(outbox.take_sendable(0)) == [(70_000, 2, False)]


def test_unknown_and_repeated_acknowledgements_change_nothing():
    outbox, notes = make()
    offer_all(outbox, range(1))
    outbox.take_sendable(0)
    for packet_id in (9, 1, 1):
        outbox.acknowledge(packet_id, 5)
    outbox.refuse(1)
    assert [line[0] for line in notes.lines] == ["sent", "acknowledged"]


def test_what_is_refused_is_not_sent_again():
    outbox, notes = make()
    offer_all(outbox, range(1))
    outbox.take_sendable(0)
    outbox.refuse(1)
    assert notes.lines[-1] == ("refused", 0)
    assert outbox.take_repeats(0) == b""


def message(note="told"):
    return Outgoing(-1, AT_LEAST_ONCE, b"99", note=note)


def test_what_is_no_reading_goes_first_and_counts_by_its_note():
    outbox, notes = make(in_flight_max=2)
    outbox.offer(reading(0))
    outbox.offer_first(message())
    assert outbox.waiting == 2
    assert decoded(outbox.take_sendable(0)) == [(99, 1, False), (0, 2, False)]
    outbox.acknowledge(1, 5)
    outbox.acknowledge(2, 5)
    assert notes.lines == [("sent", 0), ("told", -1), ("acknowledged", 0, 5)]


def test_what_is_no_reading_is_repeated_and_kept_through_a_lost_session_uncounted():
    outbox, notes = make()
    outbox.offer_first(message())
    outbox.take_sendable(0)
    assert decoded(outbox.take_repeats(1)) == [(99, 1, True)]
    outbox.forget_session()
    assert decoded(outbox.take_sendable(2)) == [(99, 2, False)]
    outbox.refuse(2)
    assert notes.lines == [("refused", -1)]


def test_of_what_is_no_reading_only_so_much_is_kept():
    outbox, _ = make(in_flight_max=1_000)
    for _ in range(FIRST_MAX + 5):
        outbox.offer_first(message())
    assert outbox.waiting == FIRST_MAX
