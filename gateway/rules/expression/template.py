"""Text with placeholders: `{device}: average {avg_temp:.1f} °C`.

A placeholder is any expression, with an optional format after a colon; `{{` and `}}` are braces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from gateway.errors import ExpressionInvalid
from gateway.rules.expression.checker import Environment
from gateway.rules.expression.compiled import CompiledCall, CompiledExpression, compile_expression
from gateway.rules.expression.functions import to_text
from gateway.rules.expression.operators import FAILURES, is_number
from gateway.rules.values import UNKNOWN, Value

TEMPLATE_CHARS_MAX: Final = 4_096
SHOWN_CHARS_MAX: Final = 1_024
TOPIC_BYTES_MAX: Final = 65_535
FORMAT = re.compile(r"[<>^]?[-+]?0?[0-9]{0,2},?(\.[0-9]{1,2})?[defgs%]?")
FORBIDDEN_IN_TOPIC = re.compile(r"[+#\x00-\x1f\x7f]")
QUOTED = re.compile(r""" "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' """, re.VERBOSE | re.DOTALL)
WHOLE_FORMAT = "d"


class Placeholder(NamedTuple):
    """An expression, and how its value is written."""

    expression: CompiledExpression
    format: str


class CompiledTemplate:
    """A template that was parsed and compiled; see `gateway.rules.spec.Template`."""

    __slots__ = ("names", "parts", "stateful", "text")

    def __init__(self, text: str, parts: tuple[str | Placeholder, ...]) -> None:
        self.text = text
        self.parts = parts
        expressions = [part.expression for part in parts if isinstance(part, Placeholder)]
        self.names = frozenset().union(*(expression.names for expression in expressions))
        calls: dict[str, CompiledCall] = {
            call.slot: call for expression in expressions for call in expression.stateful
        }
        self.stateful = tuple(calls.values())

    def __repr__(self) -> str:
        return f"<template {self.text!r}>"

    def render(self, scope: Mapping[str, object]) -> str:
        """The text with its placeholders filled; what is unknown shows as `?`."""
        return "".join(
            part if isinstance(part, str) else show(part.expression.evaluate(scope), part.format)
            for part in self.parts
        )

    def value(self, scope: Mapping[str, object]) -> Value:
        """The bare value of a template that is one placeholder without a format; else its text."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Placeholder):
            expression, format_ = self.parts[0]
            if not format_:
                value = expression.evaluate(scope)
                return None if value is UNKNOWN else value
        return self.render(scope)

    def render_topic(self, scope: Mapping[str, object]) -> str | None:
        """The text as a topic name, or None if a placeholder is unknown or no topic comes of it.

        What a topic name can't carry (wildcards, control characters) becomes `_`.
        """
        texts = []
        for part in self.parts:
            if isinstance(part, str):
                texts.append(part)
                continue
            value = part.expression.evaluate(scope)
            if value is UNKNOWN:
                return None
            texts.append(FORBIDDEN_IN_TOPIC.sub("_", show(value, part.format)))
        topic = "".join(texts)
        encoded = topic.encode("utf-8", "replace")
        return encoded.decode() if 0 < len(encoded) <= TOPIC_BYTES_MAX else None


def compile_template(text: str, environment: Environment) -> CompiledTemplate:
    """Compile a template.

    Raises:
        ExpressionInvalid: an unmatched brace or a wrong expression, with its column in `text`.
    """
    if len(text) > TEMPLATE_CHARS_MAX:
        raise ExpressionInvalid(f"longer than {TEMPLATE_CHARS_MAX} characters")
    return CompiledTemplate(text, tuple(_parts(text, environment)))


def show(value: Value, format_: str = "") -> str:
    """A value as people read it, at most `SHOWN_CHARS_MAX` characters; unknown is `?`."""
    if value is UNKNOWN:
        return "?"
    try:
        if format_ and is_number(value):
            return format(round(value) if format_.endswith(WHOLE_FORMAT) else value, format_)
        shown = "null" if value is None else to_text(value)
    except FAILURES:
        shown = _as_json(value)
    if len(shown) > SHOWN_CHARS_MAX:
        return shown[: SHOWN_CHARS_MAX - 1] + "…"
    return format(shown, format_) if format_.endswith("s") else shown


def _as_json(value: Value) -> str:
    # Only as much as is shown: a long list must not be written out to be cut.
    if isinstance(value, list) and len(value) > SHOWN_CHARS_MAX:
        value = value[:SHOWN_CHARS_MAX]
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return "?"


def _parts(text: str, environment: Environment) -> Iterator[str | Placeholder]:
    """The template's pieces; neighbouring texts are one."""
    literal: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        if text[position : position + 2] in ("{{", "}}"):
            literal.append(character)
            position += 2
        elif character == "{":
            end = _closing(text, position)
            if literal:
                yield "".join(literal)
                literal = []
            yield _placeholder(text, position + 1, end, environment)
            position = end + 1
        elif character == "}":
            raise ExpressionInvalid("a '}' without its '{'; write '}}' for a brace", position + 1)
        else:
            literal.append(character)
            position += 1
    if literal:
        yield "".join(literal)


def _closing(text: str, start: int) -> int:
    """The index of the brace that closes the one at `start`; braces inside quotes don't count."""
    for position, _ in _plain_characters(text, start + 1):
        if text[position] == "}":
            return position
        if text[position] == "{":
            break
    raise ExpressionInvalid("a '{' without its '}'; write '{{' for a brace", start + 1)


def _plain_characters(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Every (index, bracket depth) from `start` on that lies outside quotes."""
    position, depth = start, 0
    while position < len(text):
        quoted = QUOTED.match(text, position)
        if quoted is not None:
            position = quoted.end()
            continue
        depth += (text[position] in "([") - (text[position] in ")]")
        yield position, depth
        position += 1


def _placeholder(text: str, start: int, end: int, environment: Environment) -> Placeholder:
    colon = _format_colon(text[:end], start)
    source = text[start : end if colon is None else colon]
    format_ = "" if colon is None else text[colon + 1 : end]
    try:
        return Placeholder(compile_expression(source, environment), format_)
    except ExpressionInvalid as error:
        raise ExpressionInvalid(str(error), start + error.column) from None


def _format_colon(text: str, start: int) -> int | None:
    """The colon before a format: the last one outside brackets that no `?` claims."""
    colon, open_conditionals = None, 0
    for position, depth in _plain_characters(text, start):
        if depth or text[position] not in "?:":
            continue
        if text[position] == "?":
            open_conditionals += 1
        elif open_conditionals:
            open_conditionals -= 1
        else:
            colon = position
    if colon is None:
        return None
    if not FORMAT.fullmatch(text[colon + 1 :]):
        raise ExpressionInvalid(
            f"'{text[colon + 1 :]}' is no format; write .1f, .0f, d, .2e or %", colon + 2
        )
    return colon
