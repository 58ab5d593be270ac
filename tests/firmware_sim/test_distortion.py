from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.distortion import HELD_MAX, INTACT_BYTES, Distortion
from firmware_sim.faults import FaultKind
from firmware_sim.outbox import Outgoing
from firmware_sim.wire import PublishFrame
from gateway.mqtt import ProtocolVersion

FRAME = PublishFrame("t", 1, ProtocolVersion.V3_1_1)


def reading(seq):
    return Outgoing(seq, FRAME, b'{"seq":%d}' % seq)


def test_without_a_fault_readings_pass_as_they_are():
    readings = [reading(seq) for seq in range(5)]
    assert Distortion(1).pass_on(readings, 0) == readings


def test_a_duplicate_follows_its_original():
    distortion = Distortion(1)
    distortion.begin(FaultKind.DUPLICATE, 100)
    passed = distortion.pass_on([reading(0), reading(1)], 99)
    assert [(one.seq, one.is_copy) for one in passed] == [
        (0, False),
        (0, True),
        (1, False),
        (1, True),
    ]
    assert distortion.pass_on([reading(2)], 100) == [reading(2)]


def test_what_is_held_back_is_due_at_the_end_of_the_fault():
    distortion = Distortion(1)
    distortion.begin(FaultKind.REORDER, 100)
    assert distortion.next_due_ms is None
    assert distortion.pass_on([reading(seq) for seq in range(20)], 50) == []
    assert distortion.next_due_ms == 100
    released = [one.seq for one in distortion.release()]
    assert released != sorted(released)
    assert sorted(released) == list(range(20))
    assert distortion.next_due_ms is None


def test_no_more_than_so_many_are_held_back():
    distortion = Distortion(1)
    distortion.begin(FaultKind.REORDER, 100)
    assert distortion.pass_on([reading(seq) for seq in range(HELD_MAX - 1)], 0) == []
    assert len(distortion.pass_on([reading(HELD_MAX)], 0)) == HELD_MAX


@given(st.binary(min_size=1, max_size=200), st.integers(0, 1 << 40), st.integers(0, 1 << 60))
@settings(max_examples=300, deadline=None)
def test_damage_is_real_is_the_same_each_time_and_leaves_the_beginning(payload, seq, key):
    damaged = Distortion(key).corrupt(payload, seq)
    assert damaged == Distortion(key).corrupt(payload, seq)
    assert damaged.startswith(payload[:INTACT_BYTES])
    assert len(damaged) <= max(len(payload), INTACT_BYTES) + 1


def test_most_damage_changes_something():
    payload = bytes(range(32, 126))
    damaged = [Distortion(5).corrupt(payload, seq) for seq in range(1_000)]
    assert sum(each != payload for each in damaged) > 980
