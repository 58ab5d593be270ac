"""Values of a field over time in short: `70x30 95 80+0.5x40 'open' true _`.

`VALUExN` is N times the value, `VALUE+STEPxN` is N values of which each is a step more than the one
before, `_` is an event without the field. A text stands in quotes, or is a bare word.
"""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple

from gateway.rules.values import Value

VALUES_MAX: Final = 100_000

NUMBER: Final = r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
TOKEN = re.compile(
    rf"""
    (?:
        (?P<number>{NUMBER})(?P<step>[-+](?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)?
      | '(?P<text>[^']*)'
      | (?P<gap>_)
      | (?P<word>[A-Za-z][A-Za-z_-]*?)
    )
    (?:x(?P<times>\d{{1,9}}))?(?=\s|$)
    """,
    re.VERBOSE,
)
WORDS: Final[dict[str, Value]] = {"true": True, "false": False, "null": None}


class Missing:
    """The type of `MISSING`."""

    def __repr__(self) -> str:
        return "_"


MISSING: Final = Missing()
"""In a series: this event lacks the field."""


class SeriesInvalid(ValueError):
    """A series can't be read; the text says what is wrong, and what would be right."""


class Series(NamedTuple):
    """The values of one field, event by event; `is_constant` when one value stands for all."""

    values: tuple[Value, ...]

    @property
    def is_constant(self) -> bool:
        return len(self.values) == 1

    def at(self, index: int) -> Value:
        """The value of the field in the event `index`."""
        return self.values[0 if self.is_constant else index]


def parse_series(text: str) -> Series:
    """Read a series.

    Raises:
        SeriesInvalid: a part of it is no value, or there are more than VALUES_MAX values.
    """
    values: list[Value] = []
    place = 0
    for match in TOKEN.finditer(text):
        _expect_blank(text, place, match.start())
        place = match.end()
        times = 1 if match["times"] is None else int(match["times"])
        if times < 1 or len(values) + times > VALUES_MAX:
            raise SeriesInvalid(f"'{match[0]}': a series has 1 to {VALUES_MAX} values")
        values += _values(match, times)
    _expect_blank(text, place, len(text))
    if not values:
        raise SeriesInvalid("a series has at least one value, as in 70x30 95 80+0.5x40")
    return Series(tuple(values))


def _expect_blank(text: str, start: int, end: int) -> None:
    if text[start:end].strip():
        word = text[start:].split()[0]
        raise SeriesInvalid(
            f"'{word}' is no part of a series; write 70, 70x30, 80+0.5x40, true, 'text'x3 or _"
        )


def _values(match: re.Match[str], times: int) -> list[Value]:
    if match["number"] is not None:
        first, step = _number(match["number"]), _number(match["step"] or "0")
        values: list[Value] = [_settled(first + index * step) for index in range(times)]
        return values
    if match["gap"]:
        return [MISSING] * times
    if match["text"] is not None:
        return [match["text"]] * times
    return [WORDS.get(match["word"], match["word"])] * times


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _settled(value: float) -> int | float:
    if not math.isfinite(value):
        raise SeriesInvalid("a value of the series is beyond all numbers")
    # 0.1 + 0.2 is meant to be 0.3: a series is written in decimals.
    return value if isinstance(value, int) else round(value, 9)
