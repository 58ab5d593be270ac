from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.devices import DecodeLimits, Undecodable
from gateway.devices.decoders.settling import Settling, key_text


def test_everything_becomes_a_word_of_json():
    value = {"b": b"\x01\xff", 7: [float("nan"), 1.5], "t": datetime(1970, 1, 2, tzinfo=UTC)}
    settled = Settling(DecodeLimits()).settle(value)
    assert settled == {"b": "01ff", "7": [None, 1.5], "t": 86_400_000}


def test_depth_and_number_of_values_are_bounded():
    settling = Settling(DecodeLimits(depth_max=2, values_max=3))
    assert settling.settle([[1, 2]]) == [[1, 2]]
    with pytest.raises(Undecodable, match="deeper than 2"):
        settling.settle([[[]]])
    with pytest.raises(Undecodable, match="more than 3 values"):
        settling.settle([[1], [2]])


@pytest.mark.parametrize("key", [1.5, None, True, b"x"])
def test_a_key_is_text_or_an_integer(key):
    with pytest.raises(Undecodable, match="key"):
        key_text(key)


def test_what_json_has_no_word_for_is_refused():
    with pytest.raises(Undecodable, match="no word"):
        Settling(DecodeLimits()).settle(object())
