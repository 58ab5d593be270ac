from __future__ import annotations

import random

import pytest

from gateway.session import Grant, Position, SessionState

PLACE = Position("telemetry", 0, 1, 1)


def number(packet_id):
    return int.from_bytes(packet_id, "big")


def test_packet_identifiers_begin_with_one_and_grow():
    state = SessionState("c")
    assert [number(state.next_packet_id()) for _ in range(3)] == [1, 2, 3]


@pytest.mark.spec("MQTT5-2.2.1-4")
@pytest.mark.spec("MQTT311-2.3.1-4")
def test_identifiers_in_use_and_zero_are_stepped_over_when_they_wrap_around():
    state = SessionState("c", last_packet_id=65_533)
    state.in_flight = {b"\xff\xff": PLACE, b"\x00\x02": PLACE}
    state.releasing = {b"\x00\x01": None}
    found = [number(state.next_packet_id()) for _ in range(3)]
    assert found == [65_534, 3, 4]


def test_the_last_free_identifier_is_found():
    state = SessionState("c", last_packet_id=40_000)
    everything = dict.fromkeys(n.to_bytes(2, "big") for n in range(1, 65_536))
    del everything[b"\x00\x07"]
    state.in_flight = dict.fromkeys(everything, PLACE)
    assert number(state.next_packet_id()) == 7


@pytest.mark.parametrize("seed", range(5))
def test_no_identifier_is_ever_given_twice_at_a_time(seed):
    rng = random.Random(seed)
    state = SessionState("c", last_packet_id=rng.randrange(65_536))
    for _ in range(500):
        packet_id = state.next_packet_id()
        assert packet_id not in state.in_flight
        assert packet_id not in state.releasing
        assert packet_id != b"\x00\x00"
        rng.choice([state.in_flight, state.releasing])[packet_id] = PLACE
        for used in (state.in_flight, state.releasing):
            if len(used) > 20:
                del used[rng.choice(list(used))]


@pytest.mark.parametrize(("expiry_ms", "is_kept"), [(0, False), (1, True), (None, True)])
def test_a_state_is_kept_unless_it_expires_at_once(expiry_ms, is_kept):
    assert SessionState("c", expiry_ms).is_kept == is_kept


def test_messages_are_unacknowledged_until_they_are_complete():
    state = SessionState("c")
    state.in_flight = {b"\x00\x01": PLACE}
    state.releasing = {b"\x00\x02": None}
    assert state.unacknowledged == 2


@pytest.mark.parametrize(
    ("topic_filter", "pattern", "is_shared"),
    [
        ("a/b/#", "a/b/#", False),
        ("$replay/-1h/a/b", "a/b", False),
        ("$share/group/a/+", "a/+", True),
        ("$SYS/#", "$SYS/#", False),
    ],
)
def test_a_grant_knows_which_topics_it_is_for(topic_filter, pattern, is_shared):
    grant = Grant(topic_filter, 1)
    assert (grant.pattern, grant.is_shared) == (pattern, is_shared)
