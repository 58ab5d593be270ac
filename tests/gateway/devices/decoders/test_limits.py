from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices import DecodeLimits, Undecodable
from gateway.devices.decoders.limits import check_shape, epoch_ms, exact, finite

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=30,
)


def depth_of(value):
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


def count_of(value):
    if isinstance(value, dict):
        value = list(value.values())
    return len(value) + sum(map(count_of, value)) if isinstance(value, list) else 0


@settings(deadline=None, max_examples=200)
@given(value=JSON, depth=st.integers(1, 5), values=st.integers(1, 20))
def test_the_shape_is_what_a_recursive_look_finds(value, depth, values):
    limits = DecodeLimits(depth_max=depth, values_max=values)
    try:
        check_shape(value, limits)
    except Undecodable:
        assert depth_of(value) > depth or count_of(value) > values
    else:
        assert depth_of(value) <= depth
        assert count_of(value) <= values


def test_a_payload_that_is_too_large_is_not_looked_at():
    limits = DecodeLimits(size_bytes_max=3)
    limits.check_size(b"abc")
    with pytest.raises(Undecodable, match="4 bytes; at most 3"):
        limits.check_size(b"abcd")


def test_numbers_that_json_has_no_word_for_are_null():
    assert [finite(one) for one in (1.5, float("nan"), float("inf"))] == [1.5, None, None]
    assert exact(1 << 64) == float(1 << 64)
    assert exact(-1 << 5000) is None
    assert exact((1 << 64) - 1) == (1 << 64) - 1


def test_a_time_without_a_zone_is_utc():
    moment = datetime(2026, 1, 1, 12, 0, 0, 500_000)  # noqa: DTZ001 - the point
    assert epoch_ms(moment) == epoch_ms(moment.replace(tzinfo=UTC)) == 1767268800500
    there = moment.replace(tzinfo=timezone(timedelta(hours=2)))
    assert epoch_ms(there) == 1767268800500 - 7_200_000
    assert epoch_ms(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)) == -1_000
