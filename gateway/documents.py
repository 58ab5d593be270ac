"""YAML files that people write, read with the position of every value.

Each error can point at its place.
Only YAML 1.2 core scalars exist here: `on` is text, `12:30` is text, `010` is ten. Anchors,
aliases, tags, merge keys and duplicate keys are errors. What the keys mean is each layer's own
affair.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml

from gateway.errors import Complaint, DocumentInvalid

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DOCUMENT_BYTES_MAX = 4 << 20
DEPTH_MAX = 32

INTEGER = re.compile(r"[-+]?[0-9]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
CONSTANTS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
DURATION_UNITS_MS = (86_400_000, 3_600_000, 60_000, 1_000, 1)
SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)?")
SIZE_UNITS = {
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
}

N = TypeVar("N", int, float)
Scalar = str | int | float | bool | None


class Node(NamedTuple):
    """A value with its place.

    `value` is a scalar, a list of nodes, or a list of (key node, node) pairs.
    """

    kind: str
    value: Any
    line: int
    column: int
    source: str = ""

    def plain(self) -> Any:
        """The same value without places: scalars, lists and dicts."""
        if self.kind == "list":
            return [item.plain() for item in self.value]
        if self.kind == "mapping":
            return {key.source: item.plain() for key, item in self.value}
        return self.value


def parse_duration_ms(text: str) -> int | None:
    """Read `500ms`, `30s`, `1h30m` or `7d` as milliseconds; None when it is not a duration."""
    match = DURATION.fullmatch(text)
    if match is None or not text:
        return None
    return sum(
        int(count) * unit
        for count, unit in zip(match.groups(), DURATION_UNITS_MS, strict=True)
        if count
    )


def parse_size_bytes(text: str) -> int | None:
    """Read `512`, `64KiB` or `2GB` as bytes; None when it is not a size."""
    match = SIZE.fullmatch(text)
    return int(match[1]) * SIZE_UNITS[match[2] or "B"] if match else None


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """`, did you mean 'x'?` for the candidate that is close to `word`, or the empty string."""
    close = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.6)
    return f", did you mean '{close[0]}'?" if close else ""


def read_document(path: Path, shown_as: str | None = None) -> Section:
    """Read one YAML file whose top is a mapping.

    Raises:
        DocumentInvalid: it can't be read, is not YAML of our kind, or is not a mapping.
    """
    name = shown_as or str(path)
    return parse_document(read_text(path, name), name)


def read_text(path: Path, name: str) -> str:
    """Read one file of text; `name` is what errors call it.

    Raises:
        DocumentInvalid: it can't be read, is too large, or is not UTF-8.
    """
    try:
        if path.stat().st_size > DOCUMENT_BYTES_MAX:
            raise DocumentInvalid(
                [Complaint(name, 1, 1, f"larger than {DOCUMENT_BYTES_MAX} bytes")]
            )
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        complaint = Complaint(
            name, 1, 1, f"is not UTF-8 text: {error.reason} at byte {error.start}"
        )
        raise DocumentInvalid([complaint]) from error
    except OSError as error:
        raise DocumentInvalid(
            [Complaint(name, 1, 1, f"can't be read: {error.strerror}")]
        ) from error


def parse_document(text: str, path: str) -> Section:
    """Read YAML text whose top is a mapping; `path` is what errors call it.

    Raises:
        DocumentInvalid: it is not YAML of our kind, or not a mapping.
    """
    section = open_document(text, path)
    section.raise_complaints()
    return section


def open_document(text: str, path: str) -> Section:
    """Read YAML text like `parse_document`, but note duplicate keys and the like in `complaints`.

    So a reader can find every other error in the same pass; it calls `raise_complaints` in the end.

    Raises:
        DocumentInvalid: it is not YAML, has anchors, or is no mapping.
    """
    complaints: list[Complaint] = []
    try:
        tree = yaml.compose(text, Loader=LOADER)
        aliased = any(isinstance(event, yaml.AliasEvent) for event in _anchored(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise DocumentInvalid(
            [Complaint(path, line, column, f"not YAML: {error.problem}")]
        ) from error
    except yaml.YAMLError as error:
        raise DocumentInvalid([Complaint(path, 1, 1, f"not YAML: {error}")]) from error
    if aliased:
        complaints.append(Complaint(path, 1, 1, "anchors and aliases (& and *) are not allowed"))
        raise DocumentInvalid(complaints)
    root = (
        Node("mapping", [], 1, 1)
        if tree is None
        else _convert(tree, lambda *where: complaints.append(Complaint(path, *where)), 0)
    )
    if root.kind != "mapping":
        complaints.append(
            Complaint(path, root.line, root.column, "expected a mapping of keys to values")
        )
    section = Section(root, path, complaints)
    if root.kind != "mapping":
        section.raise_complaints()
    return section


def _anchored(text: str) -> Iterator[Any]:
    """The parser's events, where the text can hold an alias: composing resolves those silently."""
    return yaml.parse(text, Loader=LOADER) if "*" in text and "&" in text else iter(())


def _convert(tree: Any, complain: Callable[[int, int, str], None], depth: int) -> Node:
    line, column = tree.start_mark.line + 1, tree.start_mark.column + 1
    if depth > DEPTH_MAX:
        complain(line, column, f"nested deeper than {DEPTH_MAX} levels")
        return Node("scalar", None, line, column)
    if not tree.tag.startswith("tag:yaml.org,2002:"):
        complain(line, column, f"tags such as {tree.tag} are not allowed")
    if isinstance(tree, yaml.SequenceNode):
        items = [_convert(item, complain, depth + 1) for item in tree.value]
        return Node("list", items, line, column)
    if isinstance(tree, yaml.MappingNode):
        return Node("mapping", _pairs(tree, complain, depth), line, column)
    return Node("scalar", _resolve(tree), line, column, tree.value)


def _pairs(
    tree: Any, complain: Callable[[int, int, str], None], depth: int
) -> list[tuple[Node, Node]]:
    pairs: list[tuple[Node, Node]] = []
    seen: set[str] = set()
    for key_tree, item_tree in tree.value:
        key = _convert(key_tree, complain, depth + 1)
        if key.kind != "scalar":
            complain(key.line, key.column, "a key must be plain text")
            continue
        if key.source == "<<":
            complain(key.line, key.column, "merge keys (<<) are not allowed")
        if key.source in seen:
            complain(key.line, key.column, f"duplicate key '{key.source}'")
            continue
        seen.add(key.source)
        pairs.append((key, _convert(item_tree, complain, depth + 1)))
    return pairs


def _resolve(tree: Any) -> Scalar:
    """Read a plain scalar as YAML 1.2 core does; a quoted one is text."""
    text: str = tree.value
    if tree.style:
        return text
    if text in CONSTANTS:
        return CONSTANTS[text]
    if INTEGER.fullmatch(text):
        return int(text) if len(text) < 20 else float(text)  # noqa: PLR2004 - beyond 64 bits
    return float(text) if FLOAT.fullmatch(text) else text


class Section:
    """A mapping that is read key by key; wrong values and unknown keys become complaints.

    A reader that finds a wrong value notes the complaint and returns the default, so that one pass
    over a file finds every error in it. Call `raise_complaints` when all is read.
    """

    def __init__(self, node: Node, path: str, complaints: list[Complaint]) -> None:
        self.node = node
        self.path = path
        self.complaints = complaints
        pairs = node.value if node.kind == "mapping" else []
        self._nodes_by_key: dict[str, tuple[Node, Node]] = {
            key.source: (key, item) for key, item in pairs
        }
        self._known: dict[str, None] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._nodes_by_key

    def keys(self) -> list[str]:
        """Every key that is written, in file order."""
        return list(self._nodes_by_key)

    def in_order(self) -> list[Complaint]:
        """Every complaint about the whole file so far, in file order."""
        return sorted(set(self.complaints), key=lambda complaint: complaint[:3])

    def raise_complaints(self) -> None:
        """Raise DocumentInvalid if anything in the whole file was wrong."""
        if self.complaints:
            raise DocumentInvalid(self.in_order())

    def complain(self, message: str, key: str | None = None, *, at_key: bool = False) -> None:
        """Note an error at a key's value (or at the key itself, or at the whole section)."""
        pair = self._nodes_by_key.get(key) if key is not None else None
        node = self.node if pair is None else pair[0 if at_key else 1]
        self.complain_at(node, message)

    def complain_at(self, node: Node, message: str) -> None:
        """Note an error at a node."""
        self.complaints.append(Complaint(self.path, node.line, node.column, message))

    def get(self, key: str) -> Node | None:
        """The node of a key, which counts as known from now on."""
        self._known[key] = None
        pair = self._nodes_by_key.get(key)
        return None if pair is None else pair[1]

    def finish(self, *also_known: str) -> None:
        """Complain about every key that nobody asked for."""
        known = [*self._known, *also_known]
        for key, (key_node, _) in self._nodes_by_key.items():
            if key not in known:
                hint = did_you_mean(key, known) or f"; known here: {', '.join(sorted(known))}"
                self.complain_at(key_node, f"unknown key '{key}'{hint}")

    def require(self, *keys: str) -> None:
        """Complain about each key that is missing."""
        for key in keys:
            if key not in self._nodes_by_key:
                self.complain(f"missing key '{key}'")

    def text(self, key: str, default: str = "") -> str:
        """A text; any scalar is taken as it is written."""
        node = self.get(key)
        if node is None:
            return default
        if node.kind != "scalar" or (node.value is None and not node.source):
            self.complain_at(node, f"'{key}' must be text")
            return default
        return node.source

    def boolean(self, key: str, default: bool = False) -> bool:  # noqa: FBT001, FBT002 - the value is a flag
        """`true` or `false`."""
        node = self.get(key)
        if node is None:
            return default
        if not isinstance(node.value, bool):
            self.complain_at(node, f"'{node.source}' is not true or false")
            return default
        return node.value

    def integer(
        self, key: str, default: int = 0, *, least: int | None = None, most: int | None = None
    ) -> int:
        """A whole number between `least` and `most`."""
        node = self.get(key)
        if node is None:
            return default
        if not isinstance(node.value, int) or isinstance(node.value, bool):
            self.complain_at(node, f"'{node.source}' is not a whole number")
            return default
        return self._within(node, key, node.value, least, most)

    def number(
        self,
        key: str,
        default: float = 0.0,
        *,
        least: float | None = None,
        most: float | None = None,
    ) -> float:
        """A number between `least` and `most`."""
        node = self.get(key)
        if node is None:
            return default
        if not isinstance(node.value, (int, float)) or isinstance(node.value, bool):
            self.complain_at(node, f"'{node.source}' is not a number")
            return default
        return self._within(node, key, node.value, least, most)

    def duration_ms(self, key: str, default: int = 0, *, least: int = 0) -> int:
        """A duration such as `500ms`, `30s` or `1h30m`, in milliseconds."""
        node = self.get(key)
        if node is None:
            return default
        found = parse_duration_ms(node.source) if node.kind == "scalar" else None
        if found is None:
            self.complain_at(node, f"'{node.source}' is not a duration (write 30s, 5m, 1h30m, 7d)")
            return default
        if found < least:
            self.complain_at(node, f"'{key}' must be at least {least} ms")
        return found

    def size_bytes(self, key: str, default: int = 0, *, least: int = 0) -> int:
        """A size such as `512`, `64KiB` or `2GB`, in bytes."""
        node = self.get(key)
        if node is None:
            return default
        found = parse_size_bytes(node.source) if node.kind == "scalar" else None
        if found is None:
            self.complain_at(node, f"'{node.source}' is not a size (write 512, 64KiB, 10MiB, 2GB)")
            return default
        if found < least:
            self.complain_at(node, f"'{key}' must be at least {least} bytes")
        return found

    def choice(self, key: str, options: Sequence[str], default: str = "") -> str:
        """One of some words."""
        node = self.get(key)
        if node is None:
            return default
        if node.kind != "scalar" or node.source not in options:
            hint = did_you_mean(node.source, options)
            self.complain_at(node, f"'{node.source}' is not one of {list(options)}{hint}")
            return default
        return node.source

    def texts(self, key: str, default: Sequence[str] = ()) -> list[str]:
        """A list of texts; a single text is a list of one."""
        node = self.get(key)
        if node is None:
            return list(default)
        return [item.source for item in self.items(node, key) if self._is_text(item, key)]

    def items(self, node: Node, key: str) -> list[Node]:
        """The items of a list node; a scalar is a list of one, a mapping is a complaint."""
        if node.kind == "mapping":
            self.complain_at(node, f"'{key}' must be a list")
            return []
        return list(node.value) if node.kind == "list" else [node]

    def _is_text(self, node: Node, key: str) -> bool:
        if node.kind != "scalar":
            self.complain_at(node, f"'{key}' must be a list of texts")
        return node.kind == "scalar"

    def section(self, key: str) -> Section | None:
        """The mapping under a key; None when the key is not written or is no mapping."""
        node = self.get(key)
        return None if node is None else self.as_section(node, key)

    def as_section(self, node: Node, key: str) -> Section | None:
        """A node as a section of this same file; None, with a complaint, when it is no mapping."""
        if node.kind != "mapping":
            self.complain_at(node, f"'{key}' must be a mapping of keys to values")
            return None
        return Section(node, self.path, self.complaints)

    def sections(self, key: str) -> list[Section]:
        """The mappings in the list under a key."""
        node = self.get(key)
        if node is None:
            return []
        if node.kind != "list":
            self.complain_at(node, f"'{key}' must be a list")
            return []
        found = (self.as_section(item, key) for item in node.value)
        return [section for section in found if section is not None]

    def entries(self) -> Iterator[tuple[Node, Node]]:
        """Every (key node, node) pair, for mappings whose keys are names that the writer chose."""
        for key, pair in self._nodes_by_key.items():
            self._known[key] = None
            yield pair

    def _within(self, node: Node, key: str, value: N, least: N | None, most: N | None) -> N:
        if (least is not None and value < least) or (most is not None and value > most):
            bounds = " and ".join(
                f"{word} {bound}"
                for word, bound in (("at least", least), ("at most", most))
                if bound is not None
            )
            self.complain_at(node, f"'{key}' is {value}; it must be {bounds}")
        return value
