"""A rule taken apart: every expression in it, and a digest of what it means."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from gateway.rules.expression.compiled import CompiledExpression
from gateway.rules.expression.nodes import Call, Literal, unparse, walk
from gateway.rules.expression.template import CompiledTemplate, Placeholder
from gateway.rules.spec import RuleSpec, Schedule, Zone

# What only people read, where it is written, and what follows from the rest.
MEANINGLESS: Final = frozenset(
    {
        "title",
        "description",
        "tags",
        "path",
        "line",
        "prelude",
        "source_hash",
        "enabled",
        "schedules",
    }
)
LANGUAGE: Final = 1


def expressions_of(part: object) -> Iterator[CompiledExpression | CompiledTemplate]:
    """Every expression and template in a spec or a part of one, in the order of the spec."""
    if isinstance(part, (CompiledExpression, CompiledTemplate)):
        yield part
        return
    for item in _parts_of(part):
        yield from expressions_of(item)


def _parts_of(part: object) -> Iterable[object]:
    if is_dataclass(part):
        return (getattr(part, f.name) for f in fields(part) if f.name not in MEANINGLESS)
    if isinstance(part, Mapping):
        return part.values()
    return part if isinstance(part, (tuple, list)) else ()


def zones_of(rule: RuleSpec) -> set[str]:
    """The zones that a rule's expressions name."""
    return {
        node.arguments[-1].value
        for part in expressions_of(rule)
        for expression in _plain(part)
        for node in walk(expression.tree)
        if isinstance(node, Call)
        and node.function == "inside"
        and isinstance(node.arguments[-1], Literal)
    }


def schedules_of(rule: RuleSpec, schedules: Mapping[str, Schedule]) -> tuple[Schedule, ...]:
    """The schedules whose names a rule reads, by name."""
    names = {name for part in expressions_of(rule) for name in part.names}
    return tuple(schedules[name] for name in sorted(names & schedules.keys()))


def digest_of(rule: RuleSpec, zones: Mapping[str, Zone], schedules: Mapping[str, Schedule]) -> str:
    """A text that is equal for two rules if, and only if, they mean the same.

    Spacing, brackets and order of keys don't count, nor do title, description and place; the zones
    and schedules that the rule names do.
    """
    meaning = {
        "language": LANGUAGE,
        "rule": _plain_form(rule),
        "zones": [_plain_form(zones[name]) for name in sorted(zones_of(rule))],
        "schedules": [_plain_form(one) for one in schedules_of(rule, schedules)],
    }
    encoded = json.dumps(meaning, sort_keys=True, ensure_ascii=False).encode()
    return hashlib.sha256(encoded).hexdigest()[:32]


def _plain(part: CompiledExpression | CompiledTemplate) -> Iterator[CompiledExpression]:
    if isinstance(part, CompiledExpression):
        yield part
    else:
        for piece in part.parts:
            if isinstance(piece, Placeholder):
                yield piece.expression


def _plain_form(value: Any) -> Any:  # noqa: PLR0911 - one line for each sort of value
    """The value as JSON can hold it, with one form for each meaning."""
    if isinstance(value, CompiledExpression):
        return {"expression": unparse(value.tree), "as": value.expected}
    if isinstance(value, CompiledTemplate):
        return {"template": value.text}
    if is_dataclass(value):
        return {
            field.name: _plain_form(getattr(value, field.name))
            for field in fields(value)
            if field.name not in MEANINGLESS
        }
    if isinstance(value, Mapping):
        return {str(key): _plain_form(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, (tuple, list)):
        return [_plain_form(item) for item in value]
    return value
