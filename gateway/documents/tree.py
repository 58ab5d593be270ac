"""From the YAML parser's events to nodes that know their place.

What the keys mean is `gateway.documents.section`'s affair, and its callers'.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from gateway.documents.scalars import resolve_scalar
from gateway.errors import Complaint, DocumentInvalid

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DEPTH_MAX = 32


class Node(NamedTuple):
    """A value with its place.

    `value` is a scalar, a list of nodes, or a list of (key node, node) pairs.
    """

    kind: str
    value: Any
    line: int
    column: int
    source: str = ""

    @property
    def shown(self) -> str:
        """What an error calls the value: its text in quotes, or which kind of value it is."""
        return f"'{self.source}'" if self.kind == "scalar" else f"a {self.kind}"

    @property
    def is_text(self) -> bool:
        """Whether it can be taken as text: any scalar, but not nothing at all."""
        return self.kind == "scalar" and self.value is not None

    def plain(self) -> Any:
        """The same value without places: scalars, lists and dicts."""
        if self.kind == "list":
            return [item.plain() for item in self.value]
        if self.kind == "mapping":
            return {key.source: item.plain() for key, item in self.value}
        return self.value


class TreeBuilder:
    """Makes nodes of the parser's events, and notes what has no place in our files.

    It works on events because composed nodes do not tell a written tag from an implied one, and
    composing follows any depth of nesting until the stack is used up.
    """

    def __init__(self, text: str, path: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=LOADER)
        self._path = path
        self.complaints: list[Complaint] = []

    def build(self) -> Node:
        """Read the one document; an empty text is an empty mapping."""
        root: Node | None = None
        for event in self._events:
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            if root is not None:
                self._complain(event, "a second document (---) is not allowed")
                break
            root = self._node(next(self._events), 0)
        return Node("mapping", [], 1, 1) if root is None else root

    def _complain(self, event: Any, message: str) -> None:
        self.complaints.append(Complaint(self._path, *_position(event), message))

    def _node(self, event: Any, depth: int) -> Node:
        line, column = _position(event)
        if depth > DEPTH_MAX:
            # Going on would cost time without bound: what is wrong so far has to do.
            self._complain(event, f"nested deeper than {DEPTH_MAX} levels")
            raise DocumentInvalid(self.complaints)
        if isinstance(event, yaml.AliasEvent):
            self._complain(event, f"aliases such as *{event.anchor} are not allowed")
            return Node("scalar", None, line, column)
        if event.anchor is not None:
            self._complain(event, f"anchors such as &{event.anchor} are not allowed")
        if event.tag is not None:
            self._complain(event, f"tags such as {_written(event.tag)} are not allowed")
        if isinstance(event, yaml.SequenceStartEvent):
            items = [self._node(item, depth + 1) for item in self._until(yaml.SequenceEndEvent)]
            return Node("list", items, line, column)
        if isinstance(event, yaml.MappingStartEvent):
            return Node("mapping", self._pairs(depth), line, column)
        value = resolve_scalar(event.value, is_plain=not event.style)
        return Node("scalar", value, line, column, event.value)

    def _until(self, end: type[Any]) -> Iterator[Any]:
        """The events that begin the items of a list or a mapping; the caller reads each whole."""
        for event in self._events:
            if isinstance(event, end):
                return
            yield event

    def _pairs(self, depth: int) -> list[tuple[Node, Node]]:
        pairs: list[tuple[Node, Node]] = []
        seen: set[str] = set()
        for event in self._until(yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            item = self._node(next(self._events), depth + 1)
            if key.kind != "scalar":
                self._complain(event, "a key must be plain text")
            elif key.source == "<<":
                self._complain(event, "merge keys (<<) are not allowed")
            elif key.source in seen:
                self._complain(event, f"duplicate key '{key.source}'")
            else:
                seen.add(key.source)
                pairs.append((key, item))
        return pairs


def _position(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _written(tag: str) -> str:
    """A tag as people write it."""
    return tag.replace("tag:yaml.org,2002:", "!!")
