from __future__ import annotations

from gateway.devices.decoders.frame_layout import Bits, Condition, Part
from gateway.devices.profiles.frames import read_layout
from gateway.documents import parse_document


def layout(text):
    section = parse_document(text, "x.yaml")
    parts = read_layout(section)
    section.raise_complaints()
    return parts


def test_a_layout_is_read_part_by_part():
    parts = layout(
        "byte_order: little\nlayout:\n"
        "- {name: n, type: u8, bits: {a: 0, b: 1-3}}\n"
        "- {name: x, type: u16, count: n, byte_order: big, when: {part: n, is: [1, 2]}}\n"
        "- {type: skip}\n"
        "- {name: g, count: b, when: a, items: [{name: y, type: u8}]}\n"
        "- {name: r, type: bytes, count: rest}\n"
    )
    assert parts == (
        Part("n", "u8", "little", None, (Bits("a", 0, 0), Bits("b", 1, 3))),
        Part("x", "u16", "big", "n", (), Condition("n", (1, 2))),
        Part("", "skip", "little", 1),
        Part("g", "", "little", "b", (), Condition("a"), (Part("y", "u8", "little"),)),
        Part("r", "bytes", "little", "rest"),
    )
