import sys
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.events import Origin, Run
from gateway.store import batch_format
from gateway.store.batch_format import BatchCompressor, BatchDamaged, decode, pack, unpack

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
ORIGINS = st.builds(Origin, TEXT, TEXT)


@st.composite
def runs(draw):
    count = draw(st.integers(1, 6))
    has_properties = draw(st.booleans())
    own = [draw(st.binary(max_size=4)) for _ in range(count)] if has_properties else None
    return Run(
        "telemetry",
        3,
        draw(TEXT),
        draw(st.integers(0, 2**53)),
        [draw(ORIGINS) for _ in range(count)],
        [draw(st.binary(max_size=20)) for _ in range(count)],
        draw(st.binary(min_size=count, max_size=count)),
        own if own is not None and any(own) else None,
    )


def encode(batch):
    return BatchCompressor().compress(pack(batch))


def a_batch(count=3, origin_count=2):
    origins = [Origin(f"plant/{number}", f"{number}") for number in range(origin_count)]
    own = [origins[number % origin_count] for number in range(count)]
    payloads = [b"%d" % number for number in range(count)]
    return [Run("telemetry", 0, "c", 5, own, payloads, b"\x02" * count)]


@settings(max_examples=150, deadline=None)
@given(st.lists(runs(), min_size=1, max_size=4))
def test_what_is_encoded_comes_back(batch):
    assert decode(encode(batch), "telemetry", 3) == (batch, None)


@pytest.mark.parametrize("origin_count", [1, 256, 257, 65_537])
def test_any_number_of_origins_comes_back(origin_count):
    batch = a_batch(origin_count + 1, origin_count)
    assert decode(encode(batch), "telemetry", 0) == (batch, None)


def test_records_of_one_origin_share_it():
    decoded = decode(encode(a_batch(4, 2)), "telemetry", 0).runs[0]
    assert decoded.origins[0] is decoded.origins[2]


def test_properties_of_a_run_without_any_are_none():
    with_own, without = a_batch(1)[0], a_batch(2)[0]
    with_own.properties = [b"\x01\x01"]
    decoded = decode(encode([with_own, without]), "telemetry", 0).runs
    assert [run.properties for run in decoded] == [[b"\x01\x01"], None]


def test_the_layout_is_the_one_that_is_documented():
    """Bytes that lie on people's disks: if this fails, the version must change."""
    run = Run("s", 0, "c1", 7, [Origin("a/b", "b"), Origin("a/c", "c")], [b"x", b"yz"], b"\x02\x03")
    run.properties = [b"", b"\x01\x01"]
    header = b'{"origins":[["a/b","b"],["a/c","c"]],"runs":[["c1",7,2]],"properties":true}'
    assert pack([run]) == (
        b"\x01"
        + len(header).to_bytes(4, "little")
        + header
        + b"\x00\x01"
        + b"\x02\x03"
        + b"\x01\0\0\0\x02\0\0\0"
        + b"\0\0\0\0\x02\0\0\0"
        + b"\x01\x01"
        + b"xyz"
    )


def test_a_batch_that_was_cut_anywhere_is_damaged():
    packed = pack(a_batch(5, 2))
    for length in range(len(packed)):
        with pytest.raises((BatchDamaged, LookupError, TypeError, ValueError)):
            unpack(packed[:length], "telemetry", 0)
    body = encode(a_batch(5, 2))
    for length in range(len(body)):
        with pytest.raises(BatchDamaged):
            decode(body[:length], "telemetry", 0)


def test_a_batch_with_more_bytes_than_columns_is_damaged():
    with pytest.raises(BatchDamaged, match="columns"):
        unpack(pack(a_batch()) + b"x", "telemetry", 0)


def test_a_batch_whose_counts_disagree_is_damaged():
    packed = pack(a_batch(3)).replace(b'"c",5,3', b'"c",5,9')
    with pytest.raises(BatchDamaged):
        decode(BatchCompressor().compress(packed), "telemetry", 0)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60))
def test_bytes_of_any_kind_are_only_ever_damaged(junk):
    for packed in (junk, b"\x01" + junk, pack(a_batch())[:9] + junk):
        with pytest.raises(BatchDamaged):
            decode(BatchCompressor().compress(packed), "telemetry", 0)


def test_a_later_version_is_refused_by_its_number():
    body = BatchCompressor().compress(b"\x03" + pack(a_batch())[1:])
    with pytest.raises(BatchDamaged, match="version 3, not 1 or 2"):
        decode(body, "telemetry", 0)


def test_a_sparse_batch_says_where_its_records_lie():
    packed = pack(a_batch(3), [(2, 1), (7, 2)])
    assert packed[0] == 2
    assert unpack(packed, "telemetry", 0) == (a_batch(3), [(2, 1), (7, 2)])
    with pytest.raises(BatchDamaged, match="where its records lie"):
        unpack(pack(a_batch(3), [(2, 1)]), "telemetry", 0)


def test_columns_are_little_endian_on_every_machine(monkeypatch):
    swapped = array("I", [1, 2])
    swapped.byteswap()
    monkeypatch.setattr(sys, "byteorder", "big")
    assert batch_format.little_endian(array("I", [1, 2])) == swapped.tobytes()
    assert batch_format.little_endian_array("I", swapped.tobytes()) == array("I", [1, 2])
