from __future__ import annotations

import csv
import io
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices import DecodeLimits, Undecodable
from gateway.devices.decoders.plain_text import (
    csv_decoder,
    number_decoder,
    read_number,
    text_decoder,
)

LIMITS = DecodeLimits()
NO_TEXTS = frozenset()


@pytest.mark.parametrize(
    ("text", "number"),
    [("21.5", 21.5), ("-7", -7), ("+.5", 0.5), ("1e3", 1000.0), ("5.", 5.0), ("007", 7)],
)
def test_a_number_is_read_as_people_write_it(text, number):
    assert read_number(text) == number
    assert number_decoder(LIMITS, "")(f" {text}\n".encode()) == number


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "1_000", "0x10", "1,5", "٣", "1e9999", "1 2", "9" * 500]
)
def test_what_is_no_number_is_named(text):
    with pytest.raises(Undecodable):
        read_number(text)


@settings(deadline=None, max_examples=200)
@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**17), 10**17))
def test_a_written_number_is_read_back(number):
    assert read_number(repr(number)) == number


def test_a_bare_value_gets_a_name_if_the_profile_has_one():
    assert number_decoder(LIMITS, "temperature")(b"21.5") == {"temperature": 21.5}
    assert text_decoder(LIMITS, "state")("läuft".encode()) == {"state": "läuft"}
    assert text_decoder(LIMITS, "")(b"on") == "on"
    with pytest.raises(Undecodable, match="not UTF-8"):
        text_decoder(LIMITS, "")(b"\xff")


def test_a_line_becomes_fields():
    decode = csv_decoder(LIMITS, ("at", "-", "t", "who"), ";", frozenset({"who"}))
    assert decode(b"5;x;21.5;007\r\n") == {"at": 5, "t": 21.5, "who": "007"}
    assert decode(b'5;x;;"a;b"') == {"at": 5, "t": None, "who": "a;b"}


@pytest.mark.parametrize("line", [b"1", b"1,2,3", b'"1,2', b"\xff,1", b'1,"2\n3"x'])
def test_a_line_that_does_not_fit_is_undecodable(line):
    with pytest.raises(Undecodable):
        csv_decoder(LIMITS, ("a", "b"), ",", NO_TEXTS)(line)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text(max_size=6).filter(lambda cell: "\r" not in cell and "\n" not in cell
       and "\0" not in cell), min_size=2, max_size=4))  # fmt: skip
def test_what_a_writer_of_csv_writes_is_read_back(cells):
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    names = [f"c{number}" for number in range(len(cells))]
    try:
        raw = line.getvalue().encode()
    except UnicodeEncodeError:
        return
    found = csv_decoder(LIMITS, names, ",", frozenset(names))(raw)
    assert [cell or "" for cell in found.values()] == cells


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=40))
def test_bytes_are_a_line_or_undecodable(raw):
    try:
        found = csv_decoder(LIMITS, ("a", "b"), ",", NO_TEXTS)(raw)
    except Undecodable:
        return
    assert all(not isinstance(own, float) or math.isfinite(own) for own in found.values())
