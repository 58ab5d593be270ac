from __future__ import annotations

import math
import os
import random
import struct

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices import DecodeLimits, Undecodable
from gateway.devices.decoders.frame_code import frame_decoder
from gateway.devices.decoders.frame_layout import SCALARS, SIZES, Bits, Condition, Part

LIMITS = DecodeLimits()
# The nightly run asks for ten millions.
FRAMES = int(os.environ.get("PENSTOCK_FUZZ_FRAMES", "20000"))


def decoder(*parts):
    return frame_decoder(parts, LIMITS)


class Twin:
    """Reads a frame part by part, as the layout says it: slow, and without a line of made code."""

    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def read(self, parts):
        found = self.parts(parts, {})
        return found if self.at == len(self.raw) else None

    def parts(self, parts, outer):
        found, names = {}, dict(outer)
        for part in parts:
            own = self.part(part, names)
            names.update(own)
            found.update(own)
        return found

    def is_there(self, when, names):
        value = None if when is None else names.get(when.name)
        return when is None or (value in when.values if when.values else value)

    def part(self, part, names):
        if not self.is_there(part.when, names):
            return {}
        count = part.count
        if isinstance(count, str) and count != "rest":
            count = names.get(count) or 0
        if part.items:
            groups = []
            if count != "rest":
                self.need(count)
            while self.at < len(self.raw) if count == "rest" else len(groups) < count:
                groups.append(self.parts(part.items, names))
            return {part.name: groups}
        if part.type in ("text", "bytes", "skip"):
            return self.run(part, count)
        return self.numbers(part, count)

    def run(self, part, count):
        piece = self.take(len(self.raw) - self.at if count == "rest" else count)
        if part.type == "skip":
            return {}
        return {part.name: piece.rstrip(b"\0").decode() if part.type == "text" else piece.hex()}

    def numbers(self, part, count):
        size = SIZES[part.type]
        if count is not None:
            times = (len(self.raw) - self.at) // size if count == "rest" else count
            self.need(times * size)
            return {part.name: [self.scalar(part) for _ in range(times)]}
        value = self.scalar(part)
        found = {part.name: value} if part.name else {}
        for bits in part.bits:
            digits = f"{value & (1 << 64) - 1:064b}"[::-1][bits.first : bits.last + 1]
            number = int(digits[::-1], 2)
            found[bits.name] = number if bits.last > bits.first else number == 1
        return found

    def need(self, size):
        if len(self.raw) - self.at < size:
            raise Undecodable("short")

    def take(self, size):
        self.need(size)
        self.at += size
        return self.raw[self.at - size : self.at]

    def scalar(self, part):
        piece = self.take(SIZES[part.type])
        if part.type in ("u24", "i24"):
            return int.from_bytes(piece, part.order, signed=part.type == "i24")
        sign = "<" if part.order == "little" else ">"
        (value,) = struct.unpack(sign + SCALARS[part.type], piece)
        return value if not isinstance(value, float) or math.isfinite(value) else None


ORDERS = st.sampled_from(["little", "big"])


@st.composite
def layouts(draw, depth=0, outer=()):
    parts, whole = [], list(outer)
    for number in range(draw(st.integers(1, 5))):
        name = f"p{depth}_{number}"
        order = draw(ORDERS)
        when = None
        if whole and draw(st.integers(0, 3)) == 0:
            values = draw(st.sampled_from([(), (0,), (1, 2), (True,)]))
            when = Condition(draw(st.sampled_from(whole)), values)
        kind = draw(st.sampled_from([*SIZES, "text", "bytes", "skip", "items"]))
        counts = st.sampled_from([1, 2, *whole])
        if kind == "items" and depth < 2:
            items = draw(layouts(depth + 1, tuple(whole)))
            # The first part of a group is always there, so that no group is empty.
            items = (Part(f"first{depth}", "u8"), *items)
            parts.append(Part(name, "", order, draw(counts), (), when, items))
        elif kind in ("text", "bytes", "skip", "items"):
            kind = "bytes" if kind == "items" else kind
            own = "" if kind == "skip" else name
            parts.append(Part(own, kind, order, draw(counts), (), when))
        else:
            count = draw(st.none() | counts)
            bits = ()
            if kind[0] in "ui" and count is None:
                bits = draw(st.sampled_from([(), (Bits(f"{name}b", 0, 0), Bits(f"{name}c", 1, 3))]))
                whole += [one.name for one in bits]
                whole += [name] if kind[0] == "u" else []
            parts.append(Part(name, kind, order, count, bits, when))
    return tuple(parts)


@settings(deadline=None, max_examples=300)
@given(parts=layouts(), raw=st.binary(max_size=60))
def test_the_made_function_reads_what_the_twin_reads(parts, raw):
    try:
        expected = Twin(raw).read(parts)
    except (Undecodable, UnicodeDecodeError):
        expected = None
    try:
        found = frame_decoder(parts, LIMITS)(raw)
    except Undecodable:
        found = None
    assert found == expected


NODE = (
    Part("version", "u8"),
    Part("", "u8", bits=(Bits("alarm", 0, 0), Bits("mode", 4, 7))),
    Part("temperature", "i16"),
    Part("count", "u8"),
    Part("samples", "i24", count="count", when=Condition("version", (2,))),
    Part("label", "text", count=2),
)
FRAME = bytes([2, 0x31, 0xFF, 0xFB, 2, 0, 0, 1, 0xFF, 0xFF, 0xFF]) + b"ab"


def test_a_frame_with_everything():
    assert decoder(*NODE)(FRAME) == {
        "version": 2,
        "alarm": True,
        "mode": 3,
        "temperature": -5,
        "count": 2,
        "samples": [1, -1],
        "label": "ab",
    }


def test_a_frame_cut_anywhere_is_too_short_and_one_byte_more_is_too_long():
    decode = decoder(*NODE)
    for stop in range(len(FRAME)):
        with pytest.raises(Undecodable, match="too short"):
            decode(FRAME[:stop])
    with pytest.raises(Undecodable, match="too long"):
        decode(FRAME + b"\0")


def test_flipped_bits_are_decoded_or_refused_and_nothing_else():
    decode, chance = decoder(*NODE), random.Random(7)
    for _ in range(FRAMES):
        raw = bytearray(FRAME)
        for _ in range(chance.randint(1, 4)):
            raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        del raw[chance.randint(len(raw) - 3, len(raw)) :]
        try:
            orjson.dumps(decode(bytes(raw)))
        except Undecodable:
            continue


def test_a_group_without_a_byte_ends():
    group = Part("g", "", count="n", items=(Part("x", "u8", when=Condition("zero")),))
    decode = decoder(Part("n", "u8"), Part("zero", "u8"), group, Part("r", "bytes", count="rest"))
    with pytest.raises(Undecodable, match="without a byte"):
        decode(bytes([3, 0, 1, 2, 3]))
    assert decode(bytes([2, 1, 8, 9]))["g"] == [{"x": 8}, {"x": 9}]


def test_a_count_that_is_not_there_is_refused_before_anything_is_built():
    decode = decoder(Part("n", "u64"), Part("x", "f64", count="n"))
    with pytest.raises(Undecodable, match="too short"):
        decode(b"\xff" * 16)
    signed = decoder(Part("n", "i8"), Part("x", "u8", count="n"))
    with pytest.raises(Undecodable, match="count of -1"):
        signed(b"\xff\0")


def test_numbers_without_a_word_in_json_are_null():
    decode = decoder(Part("x", "f32"), Part("y", "f64", count=2))
    raw = struct.pack(">f2d", math.nan, math.inf, 1.5)
    assert decode(raw) == {"x": None, "y": [None, 1.5]}


def test_a_text_that_is_not_utf_8_is_refused():
    with pytest.raises(Undecodable, match="byte 1"):
        decoder(Part("n", "u8"), Part("t", "text", count="rest"))(b"\x01\xff")


def test_a_name_can_be_anything_and_is_never_run():
    name = "x'] = 1; raise SystemExit #\\n\""
    assert decoder(Part(name, "u8"))(b"\x05") == {name: 5}


def test_a_frame_beyond_the_size_limit_is_not_looked_at():
    decode = frame_decoder([Part("x", "bytes", count="rest")], DecodeLimits(size_bytes_max=4))
    with pytest.raises(Undecodable, match="at most 4"):
        decode(b"12345")
