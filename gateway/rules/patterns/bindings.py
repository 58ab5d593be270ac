"""What a partial match remembers of the events it took: only what an expression will read.

A step that takes one event is remembered as that event, one that may take more as `first`, `last`,
`count` and the aggregates that are asked for. Each is plain JSON, so that it can be stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite

from gateway.rules.expression.nodes import Field, Name, Node
from gateway.rules.values import INTEGER_MAX, UNKNOWN, Value

Path = tuple[str, ...]
AGGREGATES = ("sum", "avg", "min", "max")
TIME: Path = ("ts",)


def paths_in(node: Node, names: frozenset[str]) -> Iterator[Path]:
    """Every dotted path below a node that begins with one of the names, as far as it goes."""
    path = _path_of(node)
    if path is not None and path[0] in names:
        yield path
        return
    for child in node.children():
        yield from paths_in(child, names)


def _path_of(node: Node) -> Path | None:
    fields: list[str] = []
    while isinstance(node, Field):
        fields.append(node.name)
        node = node.base
    return (node.name, *reversed(fields)) if isinstance(node, Name) else None


class Pick:
    """What is kept of one event: the values at some paths."""

    __slots__ = ("is_time_only", "paths")

    def __init__(self, paths: Iterable[Path]) -> None:
        found: list[Path] = []
        for path in sorted({TIME, *paths}, key=len):
            if not any(path[: len(kept)] == kept for kept in found):
                found.append(path)
        self.paths = tuple(sorted(found))
        self.is_time_only = self.paths == (TIME,)

    def take(self, event: Mapping[str, Value]) -> dict[str, Value]:
        """The event's values at the paths, nested as they were."""
        if self.is_time_only:
            return {"ts": event["ts"]}
        kept: dict[str, Value] = {}
        for path in self.paths:
            value = look_up(event, path)
            if value is UNKNOWN:
                continue
            if not path:
                return {name: item for name, item in event.items() if item is not UNKNOWN}
            place = kept
            for name in path[:-1]:
                place = place.setdefault(name, {})
            place[path[-1]] = value
        return kept


def look_up(value: Value, path: Sequence[str]) -> Value:
    """What a path leads to; UNKNOWN where it leads nowhere."""
    for name in path:
        if not isinstance(value, Mapping):
            return UNKNOWN
        value = value.get(name, UNKNOWN)
    return value


class Memory:
    """How one step remembers what it takes."""

    __slots__ = ("aggregated", "is_many", "pick")

    def __init__(self, paths: Iterable[Path], *, is_many: bool) -> None:
        """Take the paths that are read below the step's name."""
        read = list(paths)
        self.is_many = is_many
        self.aggregated: tuple[Path, ...] = ()
        if is_many:
            self.aggregated = tuple(sorted({path for path in read if path[:1] and _is_asked(path)}))
            read = [path[1:] for path in read if path[:1] in (("first",), ("last",))]
        self.pick = Pick(read)

    def add(self, before: Value, event: Mapping[str, Value]) -> dict[str, Value]:
        """What is remembered when the step takes another event; `before` stays as it is."""
        kept = self.pick.take(event)
        if not self.is_many:
            return kept
        if before is UNKNOWN or before is None:
            before = {"first": kept, "count": 0, "tallies": [[0, 0, None, None]] * self._width()}
        tallies = [
            add_up(tally, look_up(event, path[1:]))
            for tally, path in zip(before["tallies"], self.aggregated, strict=True)
        ]
        found = {
            "first": before["first"],
            "last": kept,
            "count": before["count"] + 1,
            "tallies": tallies,
        }
        for path, tally in zip(self.aggregated, tallies, strict=True):
            value = _result(path[0], tally)
            if value is not None:
                place = found
                for name in path[:-1]:
                    place = place.setdefault(name, {})
                place[path[-1]] = value
        return found

    def _width(self) -> int:
        return len(self.aggregated)


def _is_asked(path: Path) -> bool:
    return path[0] in AGGREGATES and len(path) > 1


def add_up(tally: list[Value], value: Value) -> list[Value]:
    """Count, sum, least and greatest with one more value; what is no number is none."""
    if type(value) is not int and type(value) is not float:
        return tally
    count, total, least, most = tally
    total += value
    if type(total) is int and not -INTEGER_MAX <= total <= INTEGER_MAX:
        total = float(total)
    return [
        count + 1,
        total,
        value if least is None else min(least, value),
        value if most is None else max(most, value),
    ]


def _result(function: str, tally: list[Value]) -> Value:
    count, total, least, most = tally
    if not count:
        return None
    found = {"sum": total, "avg": total / count, "min": least, "max": most}[function]
    return found if isfinite(found) else None
