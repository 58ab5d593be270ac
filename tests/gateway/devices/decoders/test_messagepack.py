from __future__ import annotations

import math

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import msgpack

from gateway.devices import DecodeLimits, Undecodable
from gateway.devices.decoders.messagepack import messagepack_decoder

DECODE = messagepack_decoder(DecodeLimits())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=15,
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(VALUES)
def test_what_json_can_say_comes_through(value):
    assert DECODE(msgpack.encode(value)) == value


@settings(deadline=None, max_examples=400)
@given(st.binary(max_size=80))
def test_bytes_are_a_json_value_or_undecodable(raw):
    try:
        value = DECODE(raw)
    except Undecodable:
        return
    assert orjson.dumps(value)


def test_every_cut_is_undecodable():
    raw = msgpack.encode({"temperature": 21.5, "list": [1, 2, 3], "text": "abc"})
    for stop in range(len(raw)):
        with pytest.raises(Undecodable):
            DECODE(raw[:stop])


@pytest.mark.parametrize(
    "raw",
    [
        b"\xdd\xff\xff\xff\xff",  # four billion items that aren't there
        b"\xdf\xff\xff\xff\xff",
        b"\x91" * 100_000,
        b"\x81\x91\x01\x01",  # a list as a key
        b"\xd4\x05\x00",  # an extension
        b"\xa2\xff\xff",
        b"\xc1",
    ],
)
def test_a_bomb_or_a_stranger_is_refused(raw):
    with pytest.raises(Undecodable):
        DECODE(raw)


def test_bytes_and_infinities_have_their_words():
    assert DECODE(msgpack.encode({"raw": b"\x01\x02", "x": math.inf})) == {"raw": "0102", "x": None}
