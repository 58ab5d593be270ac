"""The functions of the language: their signatures, and what they do with known values.

An implementation raises one of `operators.FAILURES` for a value that it can't take; that makes the
call unknown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from gateway.rules.expression.operators import fail, is_number, number
from gateway.rules.geometry import distance_m
from gateway.rules.values import INTEGER_MAX, STRING_CHARS_MAX, Kind, Value

MANY: Final = 8
PLAIN_FLOAT_MAX = 1e15
ROUND_DIGITS_MAX = 15
INTEGER_TEXT = re.compile(r"[-+]?[0-9]{1,19}")
FLOAT_TEXT = re.compile(
    r"[-+]?([0-9]{1,400}(\.[0-9]{0,400})?|\.[0-9]{1,400})([eE][-+]?[0-9]{1,3})?"
)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOUR_MS = 3_600_000
HOURS = 24
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_WEEKDAY = 3  # 1 January 1970 was a Thursday


@dataclass(frozen=True, slots=True)
class Function:
    """A signature. The last parameter repeats up to `arity_max` arguments."""

    name: str
    parameters: tuple[Kind, ...]
    result: Kind
    call: Callable[..., Value] | None  # None: bound to its constants by the checker
    usage: str
    arity_min: int
    arity_max: int


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _size(value: Value) -> Value:
    """How many characters, items or keys."""
    if type(value) not in (str, list, dict):
        raise TypeError
    return len(value)


def _numbers(values: tuple[Value, ...]) -> list[Value]:
    items = values[0] if len(values) == 1 and type(values[0]) is list else list(values)
    return [number(item) for item in items]


def _least(*values: Value) -> Value:
    """The least of some numbers, or of one list of them; an empty list has none."""
    return min(_numbers(values))


def _greatest(*values: Value) -> Value:
    """The greatest of some numbers, or of one list of them; an empty list has none."""
    return max(_numbers(values))


def _absolute(value: Value) -> Value:
    return abs(number(value))


def _floor(value: Value) -> Value:
    return math.floor(number(value))


def _ceil(value: Value) -> Value:
    return math.ceil(number(value))


def _nearest(value: Value, digits: Value = 0) -> Value:
    """The nearest whole number, halves away from zero; or the nearest with `digits` decimals."""
    if not 0 <= number(digits) <= ROUND_DIGITS_MAX or digits != int(digits):
        raise ValueError
    if digits:
        return round(number(value), int(digits))
    whole = math.floor(abs(number(value)))
    whole += abs(value) - whole >= 0.5  # noqa: PLR2004 - a half
    return whole if value >= 0 else -whole


def _square_root(value: Value) -> float:
    return math.sqrt(number(value))


def _starts_with(text: Value, prefix: Value) -> bool:
    return _text(text).startswith(_text(prefix))


def _ends_with(text: Value, suffix: Value) -> bool:
    return _text(text).endswith(_text(suffix))


def _contains(text: Value, part: Value) -> bool:
    return _text(part) in _text(text)


def _lower(text: Value) -> str:
    return _bounded(_text(text).lower())


def _upper(text: Value) -> str:
    return _bounded(_text(text).upper())


def _bounded(text: str) -> str:
    return text if len(text) <= STRING_CHARS_MAX else fail()


def _to_integer(value: Value) -> Value:
    """A number without its decimals, or the whole number that a text spells."""
    if type(value) is str:
        return int(value) if INTEGER_TEXT.fullmatch(value) else fail()
    return math.trunc(number(value))


def _to_double(value: Value) -> float:
    """The number that a text spells, or the number itself."""
    if type(value) is str:
        return float(value) if FLOAT_TEXT.fullmatch(value) else fail()
    return float(number(value))


def to_text(value: Value) -> str:
    """A text, number or truth value as text; whole numbers have no decimals."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is float and value.is_integer() and abs(value) < PLAIN_FLOAT_MAX:
        return str(int(value))
    if is_number(value):
        return repr(value) if abs(value) <= INTEGER_MAX or type(value) is float else fail()
    raise TypeError


def _distance(lat: Value, lon: Value, other_lat: Value, other_lon: Value) -> float:
    return distance_m(number(lat), number(lon), number(other_lat), number(other_lon))


def glob_matcher(pattern: str) -> Callable[[Value], bool]:
    """Match whole texts against a pattern in which `*` is any text and `?` any one character."""
    first, *others = (
        re.escape(part).replace(r"\?", ".") for part in re.sub(r"\*+", "*", pattern).split("*")
    )
    # An atomic group never looks back: the time is at most text times pattern.
    middle = "".join(f"(?>.*?{part})" for part in others[:-1])
    last = f".*{others[-1]}" if others else ""
    expression = re.compile(f"{first}{middle}{last}", re.DOTALL)

    def matches(text: Value) -> bool:
        return expression.fullmatch(_text(text)) is not None

    return matches


def hour_in(zone: tzinfo | None) -> Callable[[Value], Value]:
    """The hour of the day, 0 to 23, of a time in milliseconds; UTC without a zone."""

    def hour(ts: Value) -> Value:
        if zone is None:
            return math.floor(number(ts) / HOUR_MS) % HOURS
        return _local(ts, zone).hour

    return hour


def weekday_in(zone: tzinfo | None) -> Callable[[Value], str]:
    """The day of the week, `mon` to `sun`, of a time in milliseconds; UTC without a zone."""

    def weekday(ts: Value) -> str:
        if zone is None:
            return DAYS[(math.floor(number(ts) / HOUR_MS) // HOURS + EPOCH_WEEKDAY) % len(DAYS)]
        return DAYS[_local(ts, zone).weekday()]

    return weekday


def _local(ts: Value, zone: tzinfo) -> datetime:
    return (EPOCH + timedelta(milliseconds=number(ts))).astimezone(zone)


def _function(
    usage: str,
    parameters: tuple[Kind, ...],
    result: Kind,
    call: Callable[..., Value] | None,
    arity: tuple[int, int] | None = None,
) -> Function:
    arity_min, arity_max = arity or (len(parameters), len(parameters))
    name = usage.partition("(")[0]
    return Function(name, parameters, result, call, usage, arity_min, arity_max)


_ALL = (
    _function("size(x)", ("any",), "number", _size),
    _function("abs(x)", ("number",), "number", _absolute),
    _function("min(x, y, …)", ("any",), "number", _least, (1, MANY)),
    _function("max(x, y, …)", ("any",), "number", _greatest, (1, MANY)),
    _function("floor(x)", ("number",), "number", _floor),
    _function("ceil(x)", ("number",), "number", _ceil),
    _function("round(x, digits)", ("number", "number"), "number", _nearest, (1, 2)),
    _function("sqrt(x)", ("number",), "number", _square_root),
    _function("startsWith(text, prefix)", ("string", "string"), "bool", _starts_with),
    _function("endsWith(text, suffix)", ("string", "string"), "bool", _ends_with),
    _function("contains(text, part)", ("string", "string"), "bool", _contains),
    _function('glob(text, "pattern*")', ("string", "string"), "bool", None),
    _function("lower(text)", ("string",), "string", _lower),
    _function("upper(text)", ("string",), "string", _upper),
    _function("int(x)", ("any",), "number", _to_integer),
    _function("double(x)", ("any",), "number", _to_double),
    _function("string(x)", ("any",), "string", to_text),
    _function('inside(lat, lon, "zone")', ("number", "number", "string"), "bool", None),
    _function("distance_m(lat1, lon1, lat2, lon2)", ("number",) * 4, "number", _distance),
    _function('hour("Europe/Kyiv")', ("string",), "number", None, (0, 1)),
    _function('weekday("Europe/Kyiv")', ("string",), "string", None, (0, 1)),
    _function("changed(x)", ("any",), "bool", None),
    _function("since(condition)", ("bool",), "number", None),
)
FUNCTIONS: Final[dict[str, Function]] = {function.name: function for function in _ALL}

AGGREGATES: Final[dict[str, str]] = {
    usage.partition("(")[0]: usage
    for usage in (
        "count()",
        "sum(x)",
        "avg(x)",
        "min(x)",
        "max(x)",
        "first(x)",
        "last(x)",
        "median(x)",
        "percentile(x, 95)",
        "stddev(x)",
        "variance(x)",
        "range(x)",
        "distinct(x)",
        "rate(x)",
        "delta(x)",
        "slope(x)",
        "ewma(x, 5m)",
        "time_avg(x)",
        "duration_true(condition)",
        "list(x, 10)",
        "topk(by, x, 5)",
    )
}
