from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices import (
    ReportPolicy,
    Seen,
    SequenceField,
    decode_seen,
    encode_seen,
    number_in,
    sequence_step,
)


@pytest.mark.parametrize(
    ("last", "number", "wrap", "expected"),
    [
        (None, 7, None, (0, False)),
        (7, 7, None, (0, False)),
        (7, 8, None, (0, False)),
        (7, 11, None, (3, False)),
        (7, 0, None, (0, True)),
        (255, 0, 256, (0, False)),
        (254, 2, 256, (3, False)),
        (2, 254, 256, (0, True)),
    ],
)
def test_what_is_missing_between_two_numbers(last, number, wrap, expected):
    assert sequence_step(last, number, wrap) == expected


@settings(max_examples=100, deadline=None)
@given(st.integers(3, 100), st.integers(0, 500), st.integers(1, 40))
def test_a_counter_that_wraps_says_what_one_that_does_not_says(wrap, last, ahead):
    plain = sequence_step(last, last + ahead, None)
    wrapped = sequence_step(last % wrap, (last + ahead) % wrap, wrap)
    if ahead <= wrap // 2:
        assert wrapped == plain


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"h": {"seq": 7}}, 7),
        ({"h": {"seq": 7.0}}, 7),
        ({"h": {"seq": 7.5}}, None),
        ({"h": {"seq": True}}, None),
        ({"h": {"seq": "7"}}, None),
        ({"h": 7}, None),
        (None, None),
    ],
)
def test_a_number_is_found_by_its_path(value, expected):
    assert number_in(value, SequenceField(("h", "seq"))) == expected


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(ReportPolicy(10), 30), (ReportPolicy(10, 60), 60), (ReportPolicy(None, 60), 60)],
)
def test_silence_is_a_missed_heartbeat_or_three_missed_messages(policy, expected):
    assert policy.silent_after_ms == expected


def test_what_was_seen_comes_back_as_it_was():
    seen = Seen(5, 7, is_silent=True)
    assert decode_seen(encode_seen(seen)) == seen
    assert decode_seen(b"\xc1") is None
