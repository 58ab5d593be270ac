"""The parse tree of an expression."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal as Choice

from gateway.rules.values import Kind, Value

ArithmeticOperator = Choice["+", "-", "*", "/", "%"]
COMPARISONS = frozenset({"<", "<=", ">", ">="})
ARITHMETIC = frozenset({"+", "-", "*", "/", "%"})


@dataclass(slots=True)
class Node:
    """One node; `column` is where it begins, 1-based.

    The checker writes `kind`, the parser the rest.
    """

    column: int
    kind: Kind = field(default="any", init=False)
    depth: int = field(default=1, init=False)

    def children(self) -> tuple[Node, ...]:
        """The nodes directly below, in the order of the text."""
        return ()


@dataclass(slots=True)
class Literal(Node):
    """A constant: null, a truth value, a number or a text."""

    value: Value


@dataclass(slots=True)
class Duration(Node):
    """A span of time such as `5m`; only some aggregates take one."""

    ms: int
    text: str


@dataclass(slots=True)
class Name(Node):
    """A name of the scope, or the variable of a quantifier."""

    name: str


@dataclass(slots=True)
class Field(Node):
    """`base.name` or `base["name"]`: always a look-up in a map."""

    base: Node
    name: str

    def children(self) -> tuple[Node, ...]:
        return (self.base,)


@dataclass(slots=True)
class Index(Node):
    """`base[index]`: an item of a list, or the value of a map under a computed name."""

    base: Node
    index: Node

    def children(self) -> tuple[Node, ...]:
        return (self.base, self.index)


@dataclass(slots=True)
class Items(Node):
    """A list that is written out."""

    items: tuple[Node, ...]

    def children(self) -> tuple[Node, ...]:
        return self.items


@dataclass(slots=True)
class Not(Node):
    """`!operand`."""

    operand: Node

    def children(self) -> tuple[Node, ...]:
        return (self.operand,)


@dataclass(slots=True)
class Negative(Node):
    """`-operand`."""

    operand: Node

    def children(self) -> tuple[Node, ...]:
        return (self.operand,)


@dataclass(slots=True)
class Binary(Node):
    """Arithmetic, a comparison, an equality or `in`."""

    operator: str
    left: Node
    right: Node

    def children(self) -> tuple[Node, ...]:
        return (self.left, self.right)


@dataclass(slots=True)
class Logic(Node):
    """`&&` or `||` over two or more operands; a chain is one node."""

    operator: str
    items: tuple[Node, ...]

    def children(self) -> tuple[Node, ...]:
        return self.items


@dataclass(slots=True)
class Conditional(Node):
    """`test ? yes : no`; only the chosen answer is computed."""

    test: Node
    yes: Node
    no: Node

    def children(self) -> tuple[Node, ...]:
        return (self.test, self.yes, self.no)


@dataclass(slots=True)
class Call(Node):
    """A call of a function; the checker finds `target`, which is then called with `operands`.

    They are fewer than the arguments where a constant argument (a zone, a pattern) is part of the
    target. A `target` of None is a call that the engine answers through the scope, under the name
    `slot`.
    """

    function: str
    arguments: tuple[Node, ...]
    target: Callable[..., Value] | None = field(default=None, init=False)
    operands: tuple[Node, ...] = field(default=(), init=False)
    slot: str = field(default="", init=False)

    def children(self) -> tuple[Node, ...]:
        return self.arguments


@dataclass(slots=True)
class Has(Node):
    """`has(x.name)`: whether the map has the key; `has(name)`: whether the name is known."""

    path: Name | Field

    def children(self) -> tuple[Node, ...]:
        return (self.path,)


@dataclass(slots=True)
class Quantifier(Node):
    """`exists(list, variable, condition)` or `all(…)`."""

    function: str
    source: Node
    variable: str
    condition: Node

    def children(self) -> tuple[Node, ...]:
        return (self.source, self.condition)


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, each before its children."""
    yield node
    for child in node.children():
        yield from walk(child)


def is_arithmetic(node: Node) -> bool:
    """Whether the node computes a number that may have left the finite ones."""
    return isinstance(node, Negative) or (isinstance(node, Binary) and node.operator in ARITHMETIC)


def unparse(node: Node) -> str:  # noqa: PLR0911 - one line for each sort of node
    """One text for each meaning: the tree with fixed spacing and brackets where they are needed."""
    match node:
        case Literal():
            return json.dumps(node.value, ensure_ascii=False)
        case Duration() | Name():
            return node.text if isinstance(node, Duration) else node.name
        case Field() | Index():
            return _unparse_path(node)
        case Not() | Negative():
            return ("!" if isinstance(node, Not) else "-") + _tight(node.operand)
        case Items():
            return f"[{_listed(node.items)}]"
        case Call():
            return f"{node.function}({_listed(node.arguments)})"
        case _:
            return _unparse_compound(node)


def _unparse_path(node: Field | Index) -> str:
    base = _tight(node.base)
    if isinstance(node, Index):
        return f"{base}[{unparse(node.index)}]"
    name = node.name
    is_plain = name.isascii() and name.isidentifier()
    return f"{base}.{name}" if is_plain else f"{base}[{json.dumps(name, ensure_ascii=False)}]"


def _unparse_compound(node: Node) -> str:
    match node:
        case Binary():
            return f"{_tight(node.left)} {node.operator} {_tight(node.right)}"
        case Logic():
            return f" {node.operator} ".join(_tight(item) for item in node.items)
        case Conditional():
            return f"{_tight(node.test)} ? {_tight(node.yes)} : {_tight(node.no)}"
        case Has():
            return f"has({unparse(node.path)})"
        case Quantifier():
            parts = (unparse(node.source), node.variable, unparse(node.condition))
            return f"{node.function}({', '.join(parts)})"
        case _:
            raise TypeError(f"{type(node).__name__} can't be written as text")


def _tight(node: Node) -> str:
    text = unparse(node)
    return f"({text})" if isinstance(node, (Binary, Logic, Conditional, Not, Negative)) else text


def _listed(nodes: tuple[Node, ...]) -> str:
    return ", ".join(unparse(node) for node in nodes)
