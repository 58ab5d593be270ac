from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import MalformedPacket
from gateway.mqtt.primitives import (
    FieldReader,
    check_name,
    decode_string,
    encode_binary,
    encode_byte,
    encode_four_byte_integer,
    encode_name,
    encode_string,
    encode_string_pair,
    encode_two_byte_integer,
    encode_variable_byte_integer,
    read_variable_byte_integer,
    shown,
)

# MQTT5 §1.5.5, table 1-1.
SIZES = [
    (0, "00"),
    (127, "7F"),
    (128, "8001"),
    (16_383, "FF7F"),
    (16_384, "808001"),
    (2_097_151, "FFFF7F"),
    (2_097_152, "80808001"),
    (268_435_455, "FFFFFF7F"),
]


@pytest.mark.spec("MQTT5-1.5.5-1")
@pytest.mark.parametrize(("value", "wire"), SIZES)
def test_a_variable_byte_integer_is_as_short_as_it_can_be(value, wire):
    encoded = bytes.fromhex(wire)
    assert encode_variable_byte_integer(value) == encoded
    assert read_variable_byte_integer(b"\xff" + encoded, 1) == (value, 1 + len(encoded))
    assert FieldReader(encoded).variable_byte_integer("it") == value


@pytest.mark.spec("MQTT5-1.5.5-1")
@pytest.mark.parametrize("wire", ["8000", "FF00", "808000", "FFFFFF00"])
def test_a_variable_byte_integer_that_could_be_shorter_is_malformed(wire):
    with pytest.raises(MalformedPacket, match="longer than its value needs"):
        FieldReader(bytes.fromhex(wire)).variable_byte_integer("it")


def test_a_variable_byte_integer_of_five_bytes_is_malformed():
    with pytest.raises(MalformedPacket, match="longer than four bytes"):
        read_variable_byte_integer(b"\x80\x80\x80\x80\x01", 0)


def test_a_variable_byte_integer_that_is_cut_short_is_incomplete():
    assert read_variable_byte_integer(b"", 0) is None
    assert read_variable_byte_integer(b"\xff\xff\xff", 0) is None
    with pytest.raises(MalformedPacket, match="the length is cut short"):
        FieldReader(b"\xff").variable_byte_integer("length")


@pytest.mark.parametrize(
    ("encode", "value"),
    [
        (encode_variable_byte_integer, 268_435_456),
        (encode_variable_byte_integer, -1),
        (encode_byte, 256),
        (encode_two_byte_integer, 65_536),
        (encode_two_byte_integer, -1),
        (encode_four_byte_integer, 1 << 32),
        (encode_four_byte_integer, -1),
        (encode_binary, bytes(65_536)),
        (encode_string, "a" * 65_536),
        (encode_string, "a\x00b"),
        (encode_string, "\ud800"),
    ],
)
def test_what_does_not_fit_is_not_written(encode, value):
    with pytest.raises(ValueError, match=r"\w"):
        encode(value)


def test_integers_are_written_big_endian():
    assert encode_byte(255) == b"\xff"
    assert encode_two_byte_integer(0x0102) == b"\x01\x02"
    assert encode_four_byte_integer(0x01020304) == b"\x01\x02\x03\x04"
    reader = FieldReader(b"\xff\x01\x02\x01\x02\x03\x04")
    assert reader.byte("a") == 255
    assert reader.two_byte_integer("b") == 0x0102
    assert reader.four_byte_integer("c") == 0x01020304
    assert reader.remaining == 0


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    st.binary(max_size=50),
)
def test_strings_and_binary_fields_come_back_as_they_were(text, blob):
    wire = encode_string(text) + encode_binary(blob) + encode_string_pair((text, "")) + b"more"
    reader = FieldReader(wire)
    assert reader.string("text") == text
    assert reader.binary("blob") == blob
    assert reader.string_pair("pair") == (text, "")
    assert reader.rest() == b"more"
    assert reader.rest() == b""


@pytest.mark.spec("MQTT5-1.5.4-1")
@pytest.mark.spec("MQTT311-1.5.3-1")
@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=8))
def test_a_string_is_read_exactly_when_it_is_what_its_text_would_be_written_as(encoded):
    text = encoded.decode(errors="surrogateescape")
    is_text = not any("\ud800" <= character <= "\udfff" for character in text)
    if is_text and "\x00" not in text:
        assert decode_string(encoded, "text") == text
    else:
        with pytest.raises(MalformedPacket):
            decode_string(encoded, "text")


@pytest.mark.parametrize(
    "character", ["\x01", "\x1f", "\x7f", "\x9f", "\ufdd0", "\uffff", "\U0010fffe"]
)
def test_a_name_has_no_control_character(character):
    with pytest.raises(MalformedPacket, match=f"U\\+{ord(character):04X}"):
        check_name(f"a{character}", "name")
    with pytest.raises(MalformedPacket):
        encode_name(character, "name")
    with pytest.raises(MalformedPacket):
        FieldReader(encode_string(character)).name("name")


def test_a_name_may_have_any_other_character():
    name = " ~\xa0é日\ufeff\U0002a6d4"
    assert FieldReader(encode_name(name, "name")).name("name") == name


def test_bytes_after_the_last_field_are_refused():
    reader = FieldReader(b"ab")
    reader.byte("a")
    with pytest.raises(MalformedPacket, match="PINGREQ has 1 bytes after its last field"):
        reader.finish("PINGREQ")
    reader.byte("b")
    reader.finish("PINGREQ")


def test_a_field_that_is_cut_short_says_what_it_needs():
    with pytest.raises(MalformedPacket, match="the topic needs 3 bytes, and 2 are left"):
        FieldReader(b"\x00\x03ab").string("topic")


def test_an_error_shows_little_of_a_text_and_no_control_character():
    assert shown("a\x1b[31m") == r"'a\x1b[31m'"
    assert len(shown("x" * 70_000)) < 70
