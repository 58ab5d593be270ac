from __future__ import annotations

import struct

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices import DecodeLimits, Undecodable
from gateway.devices.decoders.cbor import cbor_decoder

DECODE = cbor_decoder(DecodeLimits())
# RFC 8949, appendix A.
VECTORS = [
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("1903e8", 1000),
    ("1a000f4240", 1000000),
    ("1bffffffffffffffff", 18446744073709551615),
    ("c249010000000000000000", 18446744073709551616.0),
    ("3bffffffffffffffff", -18446744073709551616.0),
    ("c349010000000000000000", -18446744073709551617.0),
    ("20", -1),
    ("3903e7", -1000),
    ("f90000", 0.0),
    ("f93c00", 1.0),
    ("fb3ff199999999999a", 1.1),
    ("f97bff", 65504.0),
    ("fa47c35000", 100000.0),
    ("fb7e37e43c8800759c", 1.0e300),
    ("f90001", 5.960464477539063e-08),
    ("f97c00", None),
    ("f97e00", None),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("f7", None),
    ("c074323031332d30332d32315432303a30343a30305a", "2013-03-21T20:04:00Z"),
    ("c11a514b67b0", 1363896240),
    ("d74401020304", "01020304"),
    ("4401020304", "01020304"),
    ("6449455446", "IETF"),
    ("62c3bc", "ü"),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("a201020304", {"1": 2, "3": 4}),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("5f42010243030405ff", "0102030405"),
    ("7f657374726561646d696e67ff", "streaming"),
    ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
    ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
]


@pytest.mark.parametrize(("encoded", "value"), VECTORS)
def test_the_examples_of_the_specification(encoded, value):
    assert DECODE(bytes.fromhex(encoded)) == value


@pytest.mark.parametrize("encoded", [own[0] for own in VECTORS])
def test_every_cut_of_an_example_is_undecodable(encoded):
    raw = bytes.fromhex(encoded)
    for stop in range(len(raw)):
        with pytest.raises(Undecodable):
            DECODE(raw[:stop])


def encoded(value):
    """The slow and obvious way to write CBOR: every length in eight bytes."""
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, int):
        kind, rest = (0x1B, value) if value >= 0 else (0x3B, -1 - value)
        return bytes([kind]) + rest.to_bytes(8)
    if isinstance(value, str):
        return b"\x7b" + len(value.encode()).to_bytes(8) + value.encode()
    if isinstance(value, list):
        return b"\x9b" + len(value).to_bytes(8) + b"".join(map(encoded, value))
    pairs = b"".join(encoded(key) + encoded(one) for key, one in value.items())
    return b"\xbb" + len(value).to_bytes(8) + pairs


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=15,
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(VALUES)
def test_what_json_can_say_comes_through(value):
    assert DECODE(encoded(value)) == value


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=60))
def test_bytes_are_a_json_value_or_undecodable(raw):
    try:
        value = DECODE(raw)
    except Undecodable:
        return
    assert orjson.dumps(value)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"\x81" * 100_000 + b"\x01", "deeper than 16"),
        (b"\xc1" * 100_000 + b"\x01", "deeper than 16"),
        (b"\x9b" + b"\xff" * 8, "more than 10000"),
        (b"\xbb" + b"\xff" * 8, "more than 10000"),
        (b"\x5b" + b"\xff" * 8, "cut off"),
        (b"\x9f" + b"\x01" * 20_000, "more than 10000"),
        (b"\x5f" + b"\x40" * 20_000, "more than 10000"),
        (b"\x01\x02", "1 bytes follow"),
        (b"\xff", "simple value 31"),
        (b"\x1c", "length code 28"),
        (b"\x5f\x61a\xff", "another kind"),
        (b"\x62\xff\xff", "not UTF-8"),
        (b"\xa1\xf6\x01", "key"),
        (b"\xc2\x01", "large integer"),
        (b"\xc2\x61z", "no byte string"),
        (b"\xf8\x20", "simple value 24"),
    ],
)
def test_a_bomb_or_a_mistake_is_named(raw, complaint):
    with pytest.raises(Undecodable, match=complaint):
        DECODE(raw)
