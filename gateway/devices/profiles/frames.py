"""Reads the layout of a binary frame from a profile."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from gateway.devices.decoders.frame_layout import (
    ODD_INTEGERS,
    REST,
    RUNS,
    SIZES,
    TYPES,
    Bits,
    Condition,
    Order,
    Part,
)
from gateway.documents import Node, Section, did_you_mean

ORDERS = ("little", "big")
PARTS_MAX = 1_000
NESTED_MAX = 4
COUNT_MAX = 65_536
BITS_A_BYTE = 8
BITS_WRITTEN = re.compile(r"(\d{1,2})(?:-(\d{1,2}))?")
WHOLE_TYPES = tuple(name for name in SIZES if name[0] in "ui")


@dataclass(slots=True)
class Names:
    """The names of what came before, and which of them are integers and may count or decide."""

    all: dict[str, None] = field(default_factory=dict)
    whole: dict[str, None] = field(default_factory=dict)

    def within(self) -> Names:
        """The same names as seen inside a group, whose own names stay inside."""
        return Names({}, dict(self.whole))


def read_layout(payload: Section) -> tuple[Part, ...]:
    """The parts of a frame, in order; what is wrong is a complaint."""
    order = _order(payload, "big")
    sections = payload.sections("layout")
    if not sections:
        payload.complain("a frame needs a 'layout': a list of its parts", "layout")
    return _parts(sections, order, Names(), 0)


def _order(section: Section, default: Order) -> Order:
    return "little" if section.choice("byte_order", ORDERS, default) == "little" else "big"


def _parts(sections: list[Section], order: Order, names: Names, depth: int) -> tuple[Part, ...]:
    if len(sections) > PARTS_MAX:
        sections[PARTS_MAX].complain(f"more than {PARTS_MAX} parts")
    found = []
    for number, section in enumerate(sections[:PARTS_MAX]):
        part = _part(section, order, names, depth)
        is_last = number == len(sections) - 1
        if part.count == REST and (not is_last or depth):
            section.complain("'rest' is for the last part of a frame", "count")
        found.append(part)
    return tuple(found)


def _part(section: Section, order: Order, names: Names, depth: int) -> Part:
    order = _order(section, order)
    when = _condition(section, names)
    items = _items(section, order, names, depth)
    kind = "" if items else _kind(section)
    count = _count(section, names, kind, is_group=bool(items))
    bits = _bits(section, kind, count, names)
    name = section.text("name")
    if name and kind == "skip":
        section.complain("what is skipped has no name", "name")
    elif not name and kind != "skip" and not bits:
        section.complain("missing key 'name'")
    else:
        _take_name(section, "name", name, names)
    if name and kind in WHOLE_TYPES and count is None:
        names.whole[name] = None
    section.finish()
    return Part(name, kind, order, count, bits, when, items)


def _take_name(section: Section, key: str, name: str, names: Names) -> None:
    if name in names.all:
        section.complain(f"a part called '{name}' came before", key)
    if name:
        names.all[name] = None


def _kind(section: Section) -> str:
    if "type" not in section:
        section.complain("missing key 'type' (or 'items', for a list of groups)")
        return "u8"
    return section.choice("type", TYPES, "u8")


def _items(section: Section, order: Order, names: Names, depth: int) -> tuple[Part, ...]:
    if "items" not in section:
        return ()
    if "type" in section:
        section.complain("a part has 'type' or 'items', not both", "type", at_key=True)
        section.get("type")
    if depth >= NESTED_MAX:
        section.complain(f"groups are nested deeper than {NESTED_MAX} levels", "items")
        return ()
    return _parts(section.sections("items"), order, names.within(), depth + 1)


def _count(section: Section, names: Names, kind: str, *, is_group: bool) -> int | str | None:
    node = section.get("count")
    if node is None:
        if is_group or kind in ("text", "bytes"):
            section.complain("missing key 'count': a number, an earlier part, or rest")
        return 1 if kind == "skip" or is_group else None
    if isinstance(node.value, int) and not isinstance(node.value, bool):
        return section.integer("count", 1, least=1, most=COUNT_MAX)
    text = section.text("count")
    if text != REST:
        _check_earlier(section, node, text, names)
    return text


def _check_earlier(section: Section, node: Node, name: str, names: Names) -> None:
    if name not in names.whole:
        hint = did_you_mean(name, names.whole) or "; only an earlier integer can be named"
        section.complain_at(node, f"no earlier part is called '{name}'{hint}")
        # One complaint is enough.
        names.whole[name] = None


def _condition(section: Section, names: Names) -> Condition | None:
    node = section.get("when")
    if node is None:
        return None
    if node.kind == "scalar":
        _check_earlier(section, node, node.source, names)
        return Condition(node.source)
    inner = section.section("when")
    if inner is None:
        return None
    inner.require("part", "is")
    name_node, values_node = inner.get("part"), inner.get("is")
    if name_node is not None:
        _check_earlier(inner, name_node, name_node.source, names)
    values: list[int | bool] = []
    for item in [] if values_node is None else inner.items(values_node, "is"):
        if isinstance(item.value, int):
            values.append(item.value)
        else:
            inner.complain_at(item, f"{item.shown} is not a whole number, true or false")
    inner.finish()
    return Condition("" if name_node is None else name_node.source, tuple(values))


def _bits(section: Section, kind: str, count: int | str | None, names: Names) -> tuple[Bits, ...]:
    inner = section.section("bits")
    if inner is None:
        return ()
    if kind not in WHOLE_TYPES or count is not None or kind in RUNS:
        section.complain("only a single integer has bits", "bits", at_key=True)
        return ()
    size_bits = (3 if kind in ODD_INTEGERS else SIZES[kind]) * BITS_A_BYTE
    found = []
    for key, node in inner.entries():
        match = BITS_WRITTEN.fullmatch(node.source) if node.kind == "scalar" else None
        first = int(match[1]) if match else 0
        last = int(match[2] or match[1]) if match else 0
        if match is None or not first <= last < size_bits:
            inner.complain_at(
                node, f"{node.shown} is no bit of {kind}; write 3, or 0-3, below {size_bits}"
            )
            continue
        _take_name(inner, key.source, key.source, names)
        names.whole[key.source] = None
        found.append(Bits(key.source, first, last))
    return tuple(found)
