"""Text to tree: syntax, literals and the bounds on both.

What names and types mean is the checker's.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, cast

from gateway.documents import parse_duration_ms
from gateway.errors import ExpressionInvalid
from gateway.rules.expression.grammar import GRAMMAR, SPOKEN_TOKENS
from gateway.rules.expression.nodes import (
    Binary,
    Call,
    Conditional,
    Duration,
    Field,
    Has,
    Index,
    Items,
    Literal,
    Logic,
    Name,
    Negative,
    Node,
    Not,
    Quantifier,
)
from gateway.rules.values import INTEGER_MAX

if TYPE_CHECKING:
    from lark import Lark, Token
    from lark.exceptions import UnexpectedInput

SOURCE_CHARS_MAX = 4_096
DEPTH_MAX = 32
ITEMS_MAX = 256
QUANTIFIERS = frozenset({"exists", "all"})
QUANTIFIER_ARGUMENTS = 3

ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
LAST_WORD = re.compile(r"\b([A-Za-z]+)\s*$")
SIMPLE_ESCAPES = {
    "n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v",
    "\\": "\\", '"': '"', "'": "'", "`": "`", "?": "?", "/": "/",
}  # fmt: skip
SLIPS = {
    "and": "write '&&'",
    "or": "write '||'",
    "not": "write '!'",
    "=": "write '=='",
    "&": "write '&&'",
    "|": "write '||'",
    "is": "write '=='",
    "True": "write 'true'",
    "False": "write 'false'",
    "None": "write 'null'",
    "**": "there is no power operator",
}


def parse(text: str) -> Node:
    """Parse one expression.

    Raises:
        ExpressionInvalid: a syntax error, or text, depth or a list beyond its bound.
    """
    if len(text) > SOURCE_CHARS_MAX:
        raise ExpressionInvalid(f"longer than {SOURCE_CHARS_MAX} characters", SOURCE_CHARS_MAX + 1)
    if not text.strip():
        raise ExpressionInvalid("the expression is empty")
    from lark.exceptions import UnexpectedInput

    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        raise _syntax_error(text, error) from None
    return cast(Node, tree)  # the transformer turns every rule into a node


@cache
def _parser() -> Lark:
    from lark import Lark, Transformer

    builder = type("TreeBuilder", (TreeBuilder, Transformer), {})
    return Lark(GRAMMAR, parser="lalr", transformer=builder(visit_tokens=False))


class TreeBuilder:
    """One method for each rule of the grammar; its argument is what the rule matched, in order."""

    def name(self, parts: list[Token]) -> Node:
        return Name(_column(parts[0]), str(parts[0]))

    def true(self, parts: list[Token]) -> Node:
        return Literal(_column(parts[0]), True)  # noqa: FBT003 - the value of the literal

    def false(self, parts: list[Token]) -> Node:
        return Literal(_column(parts[0]), False)  # noqa: FBT003 - the value of the literal

    def null(self, parts: list[Token]) -> Node:
        return Literal(_column(parts[0]), None)

    def integer(self, parts: list[Token]) -> Node:
        value = int(parts[0]) if len(parts[0]) < len(str(INTEGER_MAX)) + 1 else INTEGER_MAX + 1
        if value > INTEGER_MAX:
            raise ExpressionInvalid(f"'{parts[0]}' is beyond 64 bits", _column(parts[0]))
        return Literal(_column(parts[0]), value)

    def float(self, parts: list[Token]) -> Node:
        value = float(parts[0])
        if value - value != 0:
            raise ExpressionInvalid(f"'{parts[0]}' is too large a number", _column(parts[0]))
        return Literal(_column(parts[0]), value)

    def string(self, parts: list[Token]) -> Node:
        column = _column(parts[0])
        return Literal(column, ESCAPE.sub(lambda match: _unescape(match, column), parts[0][1:-1]))

    def duration(self, parts: list[Token]) -> Node:
        ms = parse_duration_ms(str(parts[0]))
        if ms is None:
            raise ExpressionInvalid(
                f"'{parts[0]}' is not a duration (write 30s, 5m, 1h30m, 7d)", _column(parts[0])
            )
        return Duration(_column(parts[0]), ms, str(parts[0]))

    def items(self, parts: list[Token | tuple[Node, ...] | None]) -> Node:
        items = parts[1] or ()
        assert isinstance(items, tuple)  # noqa: S101 - `arguments` builds it
        if len(items) > ITEMS_MAX:
            raise ExpressionInvalid(
                f"a list of {len(items)} items; at most {ITEMS_MAX}", _column(parts[0])
            )
        return _deepened(Items(_column(parts[0]), items))

    def arguments(self, parts: list[Node]) -> tuple[Node, ...]:
        return tuple(parts)

    def call(self, parts: list) -> Node:  # type: ignore[type-arg] # a token and the arguments
        return _call(parts[0], parts[1] or ())

    def method(self, parts: list) -> Node:  # type: ignore[type-arg] # node, token, arguments
        # `x.contains(y)`, as CEL writes it, is `contains(x, y)`; it is no look-up in `x`.
        return _call(parts[1], (parts[0], *(parts[2] or ())))

    def field(self, parts: list) -> Node:  # type: ignore[type-arg] # a node and a token
        return _deepened(Field(parts[0].column, parts[0], str(parts[1])))

    def index(self, parts: list[Node]) -> Node:
        base, position = parts
        if isinstance(position, Literal) and type(position.value) is str:
            return _deepened(Field(base.column, base, position.value))
        return _deepened(Index(base.column, base, position))

    def negation(self, parts: list) -> Node:  # type: ignore[type-arg] # a token and a node
        return _deepened(Not(_column(parts[0]), parts[1]))

    def negative(self, parts: list) -> Node:  # type: ignore[type-arg] # a token and a node
        column, operand = _column(parts[0]), parts[1]
        if isinstance(operand, Literal) and type(operand.value) in (int, float):
            return Literal(column, -operand.value)
        return _deepened(Negative(column, operand))

    def binary(self, parts: list) -> Node:  # type: ignore[type-arg] # node, token, node
        left, operator, right = parts
        return _deepened(Binary(left.column, str(operator), left, right))

    def all_of(self, parts: list[Node]) -> Node:
        return _deepened(Logic(parts[0].column, "&&", tuple(parts)))

    def any_of(self, parts: list[Node]) -> Node:
        return _deepened(Logic(parts[0].column, "||", tuple(parts)))

    def conditional(self, parts: list[Node]) -> Node:
        return _deepened(Conditional(parts[0].column, *parts))


def _column(token: object) -> int:
    return (getattr(token, "start_pos", None) or 0) + 1


def _deepened(node: Node) -> Node:
    node.depth = 1 + max((child.depth for child in node.children()), default=0)
    if node.depth > DEPTH_MAX:
        raise ExpressionInvalid(f"nested deeper than {DEPTH_MAX} levels", node.column)
    return node


def _call(name: Token, arguments: tuple[Node, ...]) -> Node:
    column = _column(name)
    if name == "has":
        if len(arguments) != 1 or not isinstance(arguments[0], (Name, Field)):
            raise ExpressionInvalid("write has(payload.field) or has(name)", column)
        return _deepened(Has(column, arguments[0]))
    if name not in QUANTIFIERS:
        return _deepened(Call(column, str(name), arguments))
    if len(arguments) != QUANTIFIER_ARGUMENTS or not isinstance(arguments[1], Name):
        raise ExpressionInvalid(f"write {name}(list, variable, condition)", column)
    return _deepened(Quantifier(column, str(name), arguments[0], arguments[1].name, arguments[2]))


def _unescape(match: re.Match[str], column: int) -> str:
    code = match[1]
    if code[0] in "uUx" and len(code) > 1:
        point = int(code[1:], 16)
        if point <= 0x10FFFF and not 0xD800 <= point <= 0xDFFF:  # noqa: PLR2004 - Unicode
            return chr(point)
    elif code in SIMPLE_ESCAPES:
        return SIMPLE_ESCAPES[code]
    raise ExpressionInvalid(f"'{match[0]}' is not an escape; write \\\\ for a backslash", column)


def _syntax_error(text: str, error: UnexpectedInput) -> ExpressionInvalid:
    # At the end of the text lark points at the last token: something is missing after it.
    position: int = getattr(error, "pos_in_stream", 0) or 0
    token = getattr(error, "token", None)
    found = str(token or "") or text[position : position + 1]
    column = position + 1
    if found in ('"', "'"):
        return ExpressionInvalid("a text that is not closed", column)
    before = LAST_WORD.search(text[:position])
    if before is not None and before[1] in SLIPS:
        found, column = before[1], before.start() + 1
    if found in SLIPS:
        return ExpressionInvalid(
            f"unexpected '{found}' at column {column} of the expression; {SLIPS[found]}", column
        )
    wanted = _spoken(_acceptable(error))
    return ExpressionInvalid(
        f"syntax error near column {column} of the expression; expected one of {wanted}", column
    )


def _acceptable(error: UnexpectedInput) -> set[str]:
    """The tokens that could stand here.

    The parser's own table also lists those of other contexts.
    """
    parser = getattr(error, "interactive_parser", None)
    if parser is not None:
        return set(parser.accepts())
    return set(getattr(error, "allowed", None) or getattr(error, "expected", None) or ())


def _spoken(terminals: set[str]) -> list[str]:
    spoken = {SPOKEN_TOKENS.get(terminal, terminal) for terminal in terminals}
    return sorted(spoken - {"a duration"})
