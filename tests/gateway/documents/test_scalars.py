from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.documents import parse_duration_ms, parse_size_bytes
from gateway.documents.scalars import SIZE_UNITS, WHOLE_MAX, resolve_scalar

UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("7", 7),
        ("-7", -7),
        ("+7", 7),
        ("010", 10),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1_000.0),
        ("-1.5E-1", -0.15),
        ("123456789012345678", 123_456_789_012_345_678),
    ],
)
def test_a_plain_scalar_of_yaml_1_2_has_its_value(text, value):
    resolved = resolve_scalar(text, is_plain=True)
    assert resolved == value
    assert type(resolved) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        *("on", "off", "yes", "No", "y", "12:30", "1_000", "0x1F", "0o17", "0b1", ".inf", "-.INF"),
        *(".nan", "2026-01-02", "tRUE", "nULL", "1e", "e5", ".", "+", "1.2.3", "\u0663", "7 "),
    ],
)
def test_what_other_yaml_makes_of_a_word_is_text_here(text):
    assert resolve_scalar(text, is_plain=True) == text


@pytest.mark.parametrize("text", ["true", "7", "null", "1.5", ""])
def test_a_quoted_scalar_is_text(text):
    assert resolve_scalar(text, is_plain=False) == text


def test_a_whole_number_beyond_the_log_is_a_float_at_most():
    assert resolve_scalar("9" * 25, is_plain=True) == 1e25
    assert resolve_scalar("9" * 400, is_plain=True) == "9" * 400


def test_a_number_that_overflows_is_text():
    assert resolve_scalar("1e400", is_plain=True) == "1e400"


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="+-.0123456789eE_xinfa~ ", max_size=12))
def test_whatever_looks_like_a_number_is_finite(text):
    resolved = resolve_scalar(text, is_plain=True)
    assert resolved == text or resolved is None or math.isfinite(resolved)


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [
        ("0s", 0),
        ("500ms", 500),
        ("30s", 30_000),
        ("5m", 300_000),
        ("1h30m", 5_400_000),
        ("7d", 604_800_000),
        ("1m5ms", 60_005),
        ("1d1h1m1s1ms", 90_061_001),
        ("90m", 5_400_000),
        ("2592000000ms", 2_592_000_000),
    ],
)
def test_a_duration_is_read_in_milliseconds(text, duration_ms):
    assert parse_duration_ms(text) == duration_ms


@pytest.mark.parametrize(
    "text",
    ["", "5", "5min", "1.5h", "-1s", "30 s", "s", "1s1h", "1s1s", "1M", "\u0663s", "1h\n", "5ms5s",
     "9" * 5_000 + "d", "999999999999999999d"],
)  # fmt: skip
def test_what_is_no_duration_is_none(text):
    assert parse_duration_ms(text) is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.none() | st.integers(0, 10**6), min_size=5, max_size=5))
def test_a_duration_is_the_sum_of_its_parts(counts):
    parts = [
        (count, unit) for count, unit in zip(counts, UNITS_MS, strict=True) if count is not None
    ]
    text = "".join(f"{count}{unit}" for count, unit in parts)
    expected = sum(count * UNITS_MS[unit] for count, unit in parts) if parts else None
    assert parse_duration_ms(text) == expected


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("64KiB", 65_536),
        ("1 MiB", 1 << 20),
        ("2GB", 2 * 10**9),
        ("1kB", 1_000),
        ("3TiB", 3 << 40),
        (str(WHOLE_MAX)[:18], int(str(WHOLE_MAX)[:18])),
    ],
)
def test_a_size_is_read_in_bytes(text, size_bytes):
    assert parse_size_bytes(text) == size_bytes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.5MiB",
        "-1",
        "MiB",
        "1KB",
        "1mib",
        "1 \nMiB",
        "\u0663KiB",
        "1Mi",
        "9" * 5_000,
        "99999999999TB",
    ],
)
def test_what_is_no_size_is_none(text):
    assert parse_size_bytes(text) is None


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(SIZE_UNITS)))
def test_a_size_is_its_count_of_units(count, unit):
    assert parse_size_bytes(f"{count}{unit}") == count * SIZE_UNITS[unit]
