from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices import DecodeLimits, Undecodable
from gateway.devices.decoders.json_text import json_decoder

LIMITS = DecodeLimits()
BOMBS = {
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "unclosed": b"[" * 200_000,
    "a little too deep": b"[" * 17 + b"]" * 17,
    "deep objects": b'{"a":' * 900 + b"1" + b"}" * 900,
    "wide": b"[" + b"1," * 60_000 + b"1]",
    "many keys": b"{" + b",".join(b'"k%d":1' % n for n in range(15_000)) + b"}",
    "large": b'"' + b"x" * (1 << 20) + b'"',
}


def test_json_is_what_it_says():
    assert json_decoder(LIMITS)(b'{"t": 21.5, "on": [true, null]}') == {
        "t": 21.5,
        "on": [True, None],
    }


@pytest.mark.parametrize("raw", [b"", b"{", b"nan", b"\xff", b"{} {}", b"Infinity"])
def test_what_is_not_json_says_so(raw):
    with pytest.raises(Undecodable, match="not JSON"):
        json_decoder(LIMITS)(raw)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_at_once(name):
    decode = json_decoder(LIMITS)
    for _ in range(5):
        with pytest.raises(Undecodable):
            decode(BOMBS[name])


def test_what_is_just_within_the_limits_is_decoded():
    assert json_decoder(LIMITS)(b"[" * 16 + b"]" * 16)
    assert len(json_decoder(LIMITS)(b"[" + b"1," * 9_999 + b"1]")) == 10_000


@settings(deadline=None, max_examples=300)
@given(raw=st.binary(max_size=60) | st.text(alphabet='[]{}",:0a', max_size=60).map(str.encode))
def test_bytes_are_json_or_undecodable(raw):
    try:
        value = json_decoder(LIMITS)(raw)
    except Undecodable:
        return
    assert orjson.dumps(value) is not None
