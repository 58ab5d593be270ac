"""A mapping of a document, read key by key; what is wrong is noted with its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from gateway.documents.scalars import parse_duration_ms, parse_size_bytes
from gateway.documents.spelling import did_you_mean
from gateway.documents.tree import Node
from gateway.errors import Complaint, DocumentInvalid

N = TypeVar("N", int, float)


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
        return sorted(dict.fromkeys(self.complaints), key=lambda complaint: complaint[:3])

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
        if not node.is_text:
            self.complain_at(node, f"'{key}' must be text")
            return default
        return node.source

    def boolean(self, key: str, default: bool = False) -> bool:  # noqa: FBT001, FBT002 - the value is a flag
        """`true` or `false`."""
        node = self.get(key)
        if node is None:
            return default
        if not isinstance(node.value, bool):
            self.complain_at(node, f"{node.shown} is not true or false")
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
            self.complain_at(node, f"{node.shown} is not a whole number")
            return default
        return node.value if self._is_within(node, key, node.value, (least, most)) else default

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
            self.complain_at(node, f"{node.shown} is not a number")
            return default
        return node.value if self._is_within(node, key, node.value, (least, most)) else default

    def duration_ms(
        self, key: str, default: int = 0, *, least: int | None = None, most: int | None = None
    ) -> int:
        """A duration such as `500ms`, `30s` or `1h30m`, in milliseconds."""
        node = self.get(key)
        if node is None:
            return default
        found = parse_duration_ms(node.source) if node.kind == "scalar" else None
        if found is None:
            self.complain_at(node, f"{node.shown} is not a duration (write 30s, 5m, 1h30m, 7d)")
            return default
        return found if self._is_within(node, key, found, (least, most), "ms") else default

    def size_bytes(
        self, key: str, default: int = 0, *, least: int | None = None, most: int | None = None
    ) -> int:
        """A size such as `512`, `64KiB` or `2GB`, in bytes."""
        node = self.get(key)
        if node is None:
            return default
        found = parse_size_bytes(node.source) if node.kind == "scalar" else None
        if found is None:
            self.complain_at(node, f"{node.shown} is not a size (write 512, 64KiB, 10MiB, 2GB)")
            return default
        return found if self._is_within(node, key, found, (least, most), "bytes") else default

    def choice(self, key: str, options: Sequence[str], default: str = "") -> str:
        """One of some words."""
        node = self.get(key)
        if node is None:
            return default
        if node.kind != "scalar" or node.source not in options:
            hint = did_you_mean(node.source, options)
            self.complain_at(node, f"{node.shown} is not one of {', '.join(options)}{hint}")
            return default
        return node.source

    def texts(self, key: str, default: Sequence[str] = ()) -> list[str]:
        """A list of texts; a single text is a list of one."""
        nodes = self.text_nodes(key)
        return [node.source for node in nodes] if key in self else list(default)

    def text_nodes(self, key: str) -> list[Node]:
        """Like `texts`, but with the place of each, for callers that check them further."""
        node = self.get(key)
        items = [] if node is None else self.items(node, key)
        for item in items:
            if not item.is_text:
                self.complain_at(item, f"'{key}' must be a list of texts")
        return [item for item in items if item.is_text]

    def items(self, node: Node, key: str) -> list[Node]:
        """The items of a list node; a scalar is a list of one, a mapping is a complaint."""
        if node.kind == "mapping":
            self.complain_at(node, f"'{key}' must be a list")
            return []
        return list(node.value) if node.kind == "list" else [node]

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

    def _is_within(
        self, node: Node, key: str, value: N, bounds: tuple[N | None, N | None], unit: str = ""
    ) -> bool:
        least, most = bounds
        if (least is None or value >= least) and (most is None or value <= most):
            return True
        allowed = " and ".join(
            f"{word} {bound} {unit}".rstrip()
            for word, bound in (("at least", least), ("at most", most))
            if bound is not None
        )
        self.complain_at(node, f"'{key}' is {node.source}; it must be {allowed}")
        return False
