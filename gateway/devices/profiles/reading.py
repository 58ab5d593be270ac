"""Reads the parts of a profile's file that stand for themselves: format, fields, limits, time."""

from __future__ import annotations

from typing import TypeVar, get_args

from gateway.devices.decoders.limits import DecodeLimits
from gateway.devices.profiles.frames import read_layout
from gateway.devices.profiles.spec import (
    FieldSpec,
    FieldType,
    Format,
    PayloadSpec,
    TimeField,
    TimeUnit,
)
from gateway.documents import Section

COLUMNS_MAX = 1_000
FIELDS_MAX = 1_000
SIZE_BYTES_MOST = 256 << 20
DEPTH_MOST = 200
VALUES_MOST = 10_000_000
NOT_READ = "-"
FORMAT_KEYS = {
    "csv": ("columns", "separator"),
    "frame": ("layout", "byte_order"),
    "protobuf": ("descriptor", "message"),
    "number": ("name",),
    "text": ("name",),
}
T = TypeVar("T")


def pick(section: Section, key: str, options: tuple[T, ...], default: T) -> T:
    """One of some words, which keeps its type."""
    chosen = section.choice(key, [str(option) for option in options], str(default))
    return next(option for option in options if option == chosen)


def read_payload(section: Section, descriptor: bytes) -> PayloadSpec:
    """The format of a payload; `descriptor` is what the file of that name holds."""
    formats: tuple[Format, ...] = get_args(Format)
    section.require("format")
    kind = pick(section, "format", formats, "json")
    separator = ","
    columns: tuple[str, ...] = ()
    for key in {key for keys in FORMAT_KEYS.values() for key in keys}:
        if key in section and key not in FORMAT_KEYS.get(kind, ()):
            section.complain(f"'{key}' has no meaning for the format {kind}", key, at_key=True)
            section.get(key)
    if kind == "csv":
        columns, separator = _columns(section)
    if kind == "protobuf":
        section.require("descriptor", "message")
    spec = PayloadSpec(
        format=kind,
        name=section.text("name"),
        columns=columns,
        separator=separator,
        layout=read_layout(section) if kind == "frame" else (),
        message=section.text("message"),
        descriptor=descriptor,
    )
    section.finish("descriptor")
    return spec


def _columns(section: Section) -> tuple[tuple[str, ...], str]:
    section.require("columns")
    columns = tuple(section.texts("columns"))
    named = [column for column in columns if column != NOT_READ]
    if len(set(named)) != len(named):
        section.complain("a column is named twice; call what isn't wanted '-'", "columns")
    if len(columns) > COLUMNS_MAX:
        section.complain(f"more than {COLUMNS_MAX} columns", "columns")
    separator = section.text("separator", ",")
    if len(separator) != 1 or separator in '"\r\n':
        section.complain("the separator is one character, and no quote", "separator")
        separator = ","
    return columns, separator


def read_fields(section: Section) -> tuple[FieldSpec, ...]:
    """Every field that is described, in file order."""
    found = []
    for key, node in section.entries():
        inner = section.as_section(node, key.source)
        if inner is not None:
            found.append(_field(inner, key.source))
    if len(found) > FIELDS_MAX:
        section.complain(f"more than {FIELDS_MAX} fields")
    return tuple(found)


def _field(section: Section, name: str) -> FieldSpec:
    types: tuple[FieldType, ...] = get_args(FieldType)
    numbers = [key for key in ("min", "max", "scale", "offset") if key in section]
    kind = pick(section, "type", types, types[0] if numbers else types[-1])
    if numbers and kind not in ("number", "integer"):
        section.complain(f"'{numbers[0]}' is for numbers, not for {kind}", numbers[0], at_key=True)
    source = tuple(section.text("from", name).split("."))
    if not all(source):
        section.complain("'from' is a path such as body.temperature", "from")
    spec = FieldSpec(
        name=name,
        source=source if "from" in section else (name,),
        type=kind,
        unit=section.text("unit"),
        minimum=section.number("min") if "min" in section else None,
        maximum=section.number("max") if "max" in section else None,
        scale=section.number("scale", 1),
        offset=section.number("offset", 0),
        is_required=section.boolean("required"),
    )
    if spec.scale == 0:
        section.complain("a scale of 0 leaves nothing of the value", "scale")
    if spec.minimum is not None and spec.maximum is not None and spec.minimum > spec.maximum:
        section.complain(
            f"an impossible range: 'min' {spec.minimum:g} is above 'max' {spec.maximum:g}", "min"
        )
    section.finish()
    return spec


def read_time(section: Section) -> TimeField:
    """The field that holds the time of measurement."""
    units: tuple[TimeUnit, ...] = get_args(TimeUnit)
    section.require("field")
    spec = TimeField(section.text("field"), pick(section, "unit", units, "ms"))
    section.finish()
    return spec


def read_limits(section: Section) -> DecodeLimits:
    """How large and how deep a payload may be."""
    default = DecodeLimits()
    limits = DecodeLimits(
        section.size_bytes("size", default.size_bytes_max, least=1, most=SIZE_BYTES_MOST),
        section.integer("depth", default.depth_max, least=1, most=DEPTH_MOST),
        section.integer("values", default.values_max, least=1, most=VALUES_MOST),
    )
    section.finish()
    return limits
