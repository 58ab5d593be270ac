"""Why an alarm changed: the condition as it is written, and the values that it read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

import orjson

from gateway.rules.spec import Expression, Scope
from gateway.rules.values import UNKNOWN, Value

QUOTED = re.compile(r""" "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' """, re.VERBOSE | re.DOTALL)
PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\d+\])*(?!\w|\s*\()")
KEY = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")
PATHS_MAX = 8
SHOWN_CHARS_MAX = 64
UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


class Teller(Protocol):
    """What can say why an alarm was raised, or cleared."""

    def tell(self, scope: Scope, held_ms: int = 0) -> str:
        """The reason as a text, for what has held so long."""


class Reason:
    """One condition that can tell what made it true or, negated, false."""

    __slots__ = ("is_negated", "paths", "slots", "text")

    def __init__(self, expression: Expression, *, is_negated: bool) -> None:
        self.text = expression.text
        self.is_negated = is_negated
        names = expression.names
        bare = QUOTED.sub('""', expression.text)
        found = dict.fromkeys(PATH.findall(bare))
        roots = {path: re.split(r"[.\[]", path, maxsplit=1)[0] for path in found}
        self.paths = tuple(path for path in found if roots[path] in names)[:PATHS_MAX]
        self.slots = tuple(call.slot for call in expression.stateful)[:PATHS_MAX]

    def tell(self, scope: Scope, held_ms: int = 0) -> str:
        """Say what was true or false, for how long, and with which values."""
        verb = " is false" if self.is_negated else ""
        held = f" for {spell_duration(held_ms)}" if held_ms else ""
        values = ", ".join(f"{name} = {show(value)}" for name, value in self._values(scope))
        return f"{self.text}{verb}{held}" + (f": {values}" if values else "")

    def _values(self, scope: Scope) -> Iterator[tuple[str, Value]]:
        for slot in self.slots:
            yield slot, scope.get(slot, UNKNOWN)
        for path in self.paths:
            yield path, look_up(scope, path)


def look_up(scope: Scope, path: str) -> Value:
    """The value that a dotted path leads to; UNKNOWN where it leads nowhere."""
    root = re.split(r"[.\[]", path, maxsplit=1)[0]
    value: Value = scope.get(root, UNKNOWN)
    for name, index in KEY.findall(path[len(root) :]):
        if name and isinstance(value, dict):
            value = value.get(name, UNKNOWN)
        elif index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        else:
            return UNKNOWN
    return value


def show(value: Value) -> str:
    """A value as short text."""
    if value is UNKNOWN:
        return "unknown"
    if type(value) is float:
        return format(value, ".10g")
    try:
        text = orjson.dumps(value).decode()
    except TypeError:
        text = "?"
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 1] + "…"


def spell_duration(ms: int) -> str:
    """A span of time as rule files write it: 90000 is 1m30s."""
    parts = []
    for unit, unit_ms in UNITS:
        count, ms = divmod(ms, unit_ms)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
