"""Payloads as rules see them."""

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.payloads import decode_payload
from gateway.rules.values import UNKNOWN

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json_values)
def test_json_is_its_value(value):
    assert decode_payload(json.dumps(value).encode()) == value


@given(st.binary(max_size=20))
def test_anything_else_is_unknown_and_nothing_raises(payload):
    try:
        expected = json.loads(payload.decode())
    except ValueError:
        expected = UNKNOWN
    decoded = decode_payload(payload)
    # Python's own parser takes NaN, surrogates and byte-order marks, which JSON doesn't know.
    assert decoded is UNKNOWN or decoded == expected


def test_text_that_is_no_json_is_unknown():
    assert decode_payload(b"21.5 C") is UNKNOWN
    assert decode_payload(b"NaN") is UNKNOWN
    assert decode_payload(b"") is UNKNOWN
