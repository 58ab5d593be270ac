"""The fields of a profile as one function: types, scales, ranges and the time of measurement.

The function is written as Python text and compiled once, because it runs for every event. Names
from a profile appear in it as quoted text only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from types import FunctionType
from typing import Any

import orjson

from gateway.devices.decoders.limits import Decode, DecodeLimits, PayloadInvalid, epoch_ms
from gateway.devices.profiles.spec import TIME_FIELD, FieldSpec, TimeField

Finish = Callable[[Any, list[str]], Any]
"""Says what becomes of a decoded payload with wrong values."""

RIGHT_TYPES = {
    "number": "type(v) is float or type(v) is int",
    "integer": "type(v) is int",
    "text": "type(v) is str",
    "boolean": "type(v) is bool",
    "any": "v is not None",
}
WORDS = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
WHOLE_FACTORS = {"s": 1_000, "ms": 1}
TIME_FACTORS = {"s": 1_000, "ms": 1, "us": 1 / 1_000, "ns": 1 / 1_000_000}
TIME_MS_MOST = 253_402_300_800_000
SHOWN_CHARS_MAX = 40


def fields_decoder(
    decode: Decode,
    fields: Sequence[FieldSpec],
    time: TimeField | None,
    finish: Finish,
    json_limits: DecodeLimits | None = None,
) -> Decode:
    """Compile the fields of a profile into a decoder that begins with `decode`.

    With `json_limits` the payload is JSON, which is read without a call in between.
    """
    lines = ["def decode_fields(raw):"]
    lines += [" value = decode(raw)"] if json_limits is None else _json_lines(json_limits)
    lines += [" if type(value) is not dict: raise no_object(value)"]
    lines += [" bad = None", " get = value.get"]
    for field in fields:
        lines += _field_lines(field)
    lines += [] if time is None else _time_lines(time)
    lines += [" return value if bad is None else finish(value, bad)"]
    code = compile("\n".join(lines), "<fields of a profile>", "exec")
    (function_code,) = (item for item in code.co_consts if hasattr(item, "co_code"))
    scope = {
        "decode": decode,
        "finish": finish,
        "loads": orjson.loads,
        "JSONDecodeError": orjson.JSONDecodeError,
        "no_object": no_object,
        "note": note,
        "time_of": time_reader(time.unit if time else "ms"),
        "__builtins__": {"type": type, "len": len, "float": float, "int": int, "str": str}
        | {"bool": bool, "dict": dict},
    }
    built: Any = FunctionType(function_code, scope)
    return built  # type: ignore[no-any-return]


def _json_lines(limits: DecodeLimits) -> list[str]:
    """Read JSON that can't be near a limit; all else, and what is none, goes to the decoder."""
    size_bytes_max = min(limits.size_bytes_max, limits.values_max)
    return [
        f" if len(raw) > {size_bytes_max}: value = decode(raw)",
        f" elif raw.count(b'{{') + raw.count(b'[') > {limits.depth_max}: value = decode(raw)",
        " else:",
        "  try: value = loads(raw)",
        "  except JSONDecodeError: value = decode(raw)",
    ]


def _time_lines(time: TimeField) -> list[str]:
    lines = [f" v = get({time.name!r})"]
    if time.unit in WHOLE_FACTORS:
        factor = WHOLE_FACTORS[time.unit]
        most = TIME_MS_MOST // factor
        lines += [
            f" if type(v) is int and {-most} < v < {most}:",
            f"  value[{TIME_FIELD!r}] = v" + (f" * {factor}" if factor > 1 else ""),
            " else:",
        ]
    else:
        lines.append(" if True:")
    return [
        *lines,
        "  v_ms = time_of(v)",
        f"  if v_ms is None: bad = note(bad, {time.name!r}, v, 'is no time')",
        f"  else: value[{TIME_FIELD!r}] = v_ms",
    ]


def _field_lines(field: FieldSpec) -> list[str]:
    name = field.name
    first, *inner = field.source
    lines = [f" v = get({first!r})"]
    lines += [f" v = v.get({step!r}) if type(v) is dict else None" for step in inner]
    body = _value_lines(field)
    if body or field.type != "any":
        lines.append(f" if {RIGHT_TYPES[field.type]}:")
        lines += ["  " + line for line in body or ["pass"]]
    if field.type != "any":
        complaint = f"is not {_article(field.type)}"
        lines.append(f" elif v is not None: bad = note(bad, {name!r}, v, {complaint!r})")
    if field.is_required:
        lines.append(f" if v is None: bad = note(bad, {name!r}, v, 'is missing')")
    return lines


def _value_lines(field: FieldSpec) -> list[str]:
    """What becomes of a value of the right type."""
    formula = "v"
    if field.scale != 1:
        # Tenths are divided by ten: 0.1 has no exact float, and 234 * 0.1 is not 23.4.
        divisor = round(1 / field.scale)
        is_fraction = abs(divisor) > 1 and 1 / divisor == field.scale
        formula = f"v / {divisor}" if is_fraction else f"v * {field.scale!r}"
    if field.offset:
        formula += f" + {field.offset!r}"
    is_moved = field.source != (field.name,)
    lines = [f"v = {formula}"] if formula != "v" else []
    if lines or is_moved:
        lines.append(f"value[{field.name!r}] = v")
    low, high = field.minimum, field.maximum
    bounds = f"{low!r} <= v" if low is not None else "v"
    bounds += f" <= {high!r}" if high is not None else ""
    if bounds != "v":
        words = [f"at least {low:g}"] if low is not None else []
        words += [f"at most {high:g}"] if high is not None else []
        complaint = f"must be {' and '.join(words)}"
        lines += [f"if not {bounds}:", f" bad = note(bad, {field.name!r}, v, {complaint!r})"]
    return lines


def _article(kind: str) -> str:
    return {"integer": "an integer", "text": "text"}.get(kind, f"a {kind}")


def note(bad: list[str] | None, name: str, value: Any, complaint: str) -> list[str]:
    """Add what is wrong with one field."""
    bad = [] if bad is None else bad
    bad.append(
        f"'{name}' {complaint}" if value is None else f"'{name}' is {shown(value)}; it {complaint}"
    )
    return bad


def no_object(value: Any) -> PayloadInvalid:
    """The refusal of a payload that has no fields."""
    return PayloadInvalid(f"the payload is {shown(value)}, not an object of fields")


def shown(value: Any) -> str:
    """A value as an error shows it: short."""
    if type(value) in WORDS:
        return WORDS[type(value)]
    return str(value)[:SHOWN_CHARS_MAX]


def time_reader(unit: str) -> Callable[[Any], int | None]:
    """A function that reads a time in this unit as milliseconds; None when it is none."""
    return _iso_ms if unit == "iso" else _epoch_reader(TIME_FACTORS[unit])


def _epoch_reader(factor: float) -> Callable[[Any], int | None]:
    def read(value: Any) -> int | None:
        if type(value) is not int and type(value) is not float:
            return None
        moment = value * factor
        return round(moment) if -TIME_MS_MOST < moment < TIME_MS_MOST else None

    return read


def _iso_ms(value: Any) -> int | None:
    if type(value) is not str:
        return None
    try:
        return epoch_ms(datetime.fromisoformat(value))
    except (ValueError, OverflowError):
        return None
