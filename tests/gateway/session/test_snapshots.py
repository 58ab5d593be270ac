from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mqtt import Properties, Will
from gateway.session import Grant, Position, SessionState, Tally, decode_state, encode_state

PACKET_IDS = st.binary(min_size=2, max_size=2)
NAMES = st.text(max_size=6)
OFFSETS = st.integers(0, 2**62)
POSITIONS = st.dictionaries(st.tuples(NAMES, st.integers(0, 1_000)), OFFSETS, max_size=4)
PLACES = st.tuples(NAMES, st.integers(0, 9), OFFSETS, st.integers(1, 2), NAMES, NAMES).map(
    Position._make
)
GRANTS = st.tuples(
    NAMES,
    st.integers(0, 2),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2),
    st.none() | st.integers(1, 2**28 - 1),
    NAMES,
    st.booleans(),
).map(Grant._make)
PROPERTIES = st.sampled_from(
    [
        Properties(),
        Properties(will_delay_interval_s=2**32 - 1, correlation_data=b"\x00"),
        Properties(user_properties=(("a", "b"), ("a", "c")), content_type="json"),
    ]
)
WILLS = st.tuples(NAMES, st.binary(max_size=6), st.integers(0, 2), st.booleans(), PROPERTIES).map(
    lambda fields: Will(*fields)
)


@st.composite
def states(draw):
    return SessionState(
        draw(NAMES),
        expiry_ms=draw(st.none() | st.integers(0, 2**42)),
        grants_by_filter={
            grant.topic_filter: grant for grant in draw(st.lists(GRANTS, max_size=4))
        },
        in_flight=draw(st.dictionaries(PACKET_IDS, PLACES, max_size=4)),
        releasing=dict.fromkeys(draw(st.lists(PACKET_IDS, max_size=4))),
        received=dict.fromkeys(draw(st.lists(PACKET_IDS, max_size=4))),
        last_packet_id=draw(st.integers(0, 65_535)),
        positions=draw(POSITIONS),
        will=draw(st.none() | WILLS),
        replays=draw(st.dictionaries(NAMES, POSITIONS, max_size=2)),
    )


@settings(max_examples=150, deadline=None)
@given(states())
def test_a_state_comes_back_as_it_was(state):
    found = decode_state(state.client_id, encode_state(state, state.positions))
    assert found == state
    for name in ("grants_by_filter", "in_flight", "releasing", "received"):
        assert list(getattr(found, name)) == list(getattr(state, name))


def test_what_the_same_commit_receives_is_received():
    state = SessionState("c", received={b"\x00\x01": None})
    encoded = encode_state(state, {}, [b"\x00\x02", b"\x00\x01"])
    assert list(decode_state("c", encoded).received) == [b"\x00\x01", b"\x00\x02"]
    assert list(state.received) == [b"\x00\x01"]


def test_the_positions_are_those_that_are_given():
    state = SessionState("c", positions={("a", 0): 1})
    assert decode_state("c", encode_state(state, {("a", 0): 9})).positions == {("a", 0): 9}


@pytest.mark.parametrize("encoded", [b"", b"\x00", b"\x93\x01\x02\x03", b"\xff" * 40])
def test_what_is_no_state_is_refused(encoded):
    with pytest.raises(ValueError, match=r"."):
        decode_state("c", encoded)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 400))
def test_damage_is_refused_or_read_but_never_another_error(garbage, place):
    encoded = bytearray(encode_state(SessionState("c"), {("a", 0): 1}))
    encoded[place % len(encoded) :] = garbage
    try:
        decode_state("c", bytes(encoded))
    except ValueError:
        return


def test_a_newer_format_is_refused_by_its_number():
    fields = msgspec.msgpack.decode(encode_state(SessionState("c"), {}))
    with pytest.raises(ValueError, match="session format 99"):
        decode_state("c", msgspec.msgpack.encode([99, *fields[1:]]))


def test_a_newer_field_at_the_end_is_stepped_over():
    fields = msgspec.msgpack.decode(encode_state(SessionState("c", 5), {}))
    assert decode_state("c", msgspec.msgpack.encode([*fields, "new"])).expiry_ms == 5


def test_a_tally_is_written_down_and_an_earlier_program_kept_none():
    state = SessionState("c", in_flight={b"\0\1": Position("s", 0, 1, 1)})
    state.tally = Tally(9, 5, 2, 1)
    encoded = encode_state(state, {})
    assert decode_state("c", encoded).tally == Tally(9, 5, 2, 1)
    assert decode_state("c", encoded).unaccounted == 0
    fields = msgspec.msgpack.decode(encoded)
    earlier = decode_state("c", msgspec.msgpack.encode(fields[:-1]))
    assert (earlier.tally, earlier.unaccounted) == (Tally(1), 0)
