"""The values of rule files that YAML knows nothing of: expressions, templates, names, sources.

A wrong value becomes a complaint with its place in the file, and a harmless value instead, so that
one pass finds every error. Plain scalars are `Section`'s own affair.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from gateway.documents import Node, Section, did_you_mean
from gateway.errors import Complaint, ExpressionInvalid, MqttError
from gateway.mqtt import check_topic_filter, parse_shared_filter
from gateway.rules.device_facts import FACT_NAMES
from gateway.rules.expression.checker import EVENT_NAMES, WORDS, Environment
from gateway.rules.expression.compiled import CompiledExpression, compile_expression
from gateway.rules.expression.compiler import Expected
from gateway.rules.expression.template import CompiledTemplate, compile_template
from gateway.rules.features import STATEFUL_FUNCTIONS
from gateway.rules.spec import Source

ALERT_NAMES: Final = ("rule", "severity", "event", "message", "id")
RESERVED = frozenset({*EVENT_NAMES, *WORDS, *ALERT_NAMES})
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
ID = re.compile(r"[a-z][a-z0-9_-]{0,63}")
KEYS_MAX: Final = 4
ANYTHING: Final = "payload"


class Reader:
    """Reads one file; `complaints` grows as errors are found."""

    def __init__(self, document: Section, text: str, supported: frozenset[str]) -> None:
        self.path = document.path
        self.complaints = document.complaints
        self._lines = text.splitlines()
        self._supported = supported

    def uses(self, feature: str, section: Section, key: str | None = None) -> None:
        """Complain, at the key, about a feature that the engine doesn't run."""
        if feature not in self._supported:
            section.complain(
                f"'{feature}' is part of the language, but this version doesn't run it yet",
                key,
                at_key=True,
            )

    def uses_written(self, section: Section | None, features: Mapping[str, str]) -> None:
        """Complain about every key that is written and whose feature the engine doesn't run."""
        if section is not None:
            for key, feature in features.items():
                if key in section:
                    self.uses(feature, section, key)

    def expression(
        self, section: Section, key: str, environment: Environment, expected: Expected = "any"
    ) -> CompiledExpression | None:
        """The expression under a key; None when the key is not written."""
        node = section.get(key)
        return (
            None if node is None else self.expression_at(section, node, key, environment, expected)
        )

    def expression_at(
        self,
        section: Section,
        node: Node,
        what: str,
        environment: Environment,
        expected: Expected = "any",
    ) -> CompiledExpression:
        """The expression in a node; `what` names it in errors."""
        try:
            compiled = compile_expression(_text(node, "an expression"), environment, expected)
        except ExpressionInvalid as error:
            self.complain_inside(node, error, what)
            return compile_expression(ANYTHING, Environment(), "any")
        self.notice_features(section, node, compiled.names)
        return compiled

    def expressions(
        self, section: Section, key: str, environment: Environment
    ) -> tuple[CompiledExpression, ...] | None:
        """The expression or list of expressions under a key; None when the key is not written."""
        node = section.get(key)
        if node is None:
            return None
        items = section.items(node, key)
        if len(items) > KEYS_MAX:
            section.complain(f"'{key}' has {len(items)} expressions; at most {KEYS_MAX}", key)
        return tuple(self.expression_at(section, item, key, environment) for item in items)

    def template(
        self, section: Section, node: Node, what: str, environment: Environment
    ) -> CompiledTemplate:
        """The template in a node; `what` names it in errors."""
        try:
            compiled = compile_template(_text(node, "a text"), environment)
        except ExpressionInvalid as error:
            self.complain_inside(node, error, what)
            return compile_template("", Environment())
        self.notice_features(section, node, compiled.names)
        return compiled

    def source(self, section: Section, node: Node) -> Source | None:
        """A topic filter, or `rule:ID`; None, with a complaint, when it is neither."""
        if node.kind != "scalar" or not node.source:
            section.complain_at(node, "'from' must be a topic filter or rule:ID")
            return None
        kind, _, rule_id = node.source.partition(":")
        if kind == "rule":
            if not ID.fullmatch(rule_id):
                section.complain_at(node, f"'{rule_id}' is not a rule id; write rule:some-id")
                return None
            self._notice(section, node, "from.rule")
            return Source("rule", rule_id)
        try:
            if parse_shared_filter(node.source) is not None:
                section.complain_at(
                    node, "a rule sees every event; write the filter without $share"
                )
            check_topic_filter(node.source)
        except MqttError as error:
            section.complain_at(node, f"'{node.source}' is not a topic filter: {error}")
            return None
        return Source("topic", node.source)

    def sources(self, section: Section, key: str) -> tuple[Source, ...] | None:
        """The source or sources under a key; None when the key is not written."""
        node = section.get(key)
        if node is None:
            return None
        found = [self.source(section, item) for item in section.items(node, key)]
        if not found:
            section.complain(f"'{key}' names no topic", key)
        return tuple(source for source in found if source is not None)

    def name(self, section: Section, node: Node, taken: Iterable[str] = ()) -> str:
        """A name that expressions will use; a complaint when it can't be one."""
        if not NAME.fullmatch(node.source):
            section.complain_at(
                node, f"'{node.source}' is not a name (small letters, digits and _, a letter first)"
            )
        elif node.source in RESERVED:
            section.complain_at(node, f"'{node.source}' already has a meaning; choose another name")
        elif node.source in taken and node.source not in FACT_NAMES:
            section.complain_at(node, f"duplicate name '{node.source}' in this rule")
        return node.source

    def identifier(self, section: Section, key: str) -> str:
        """An id for rules and streams; a complaint when it can't be one."""
        text = section.text(key)
        node = section.get(key)
        if node is not None and text and not ID.fullmatch(text):
            section.complain_at(
                node, f"'{text}' is not an id (small letters, digits, - and _, a letter first)"
            )
        return text

    def one_of(self, section: Section, known: Iterable[str], node: Node, what: str) -> bool:
        """Whether a text is one of the known; a complaint with the nearest when it isn't."""
        names = list(known)
        if node.source in names:
            return True
        hint = did_you_mean(node.source, names) or (
            f"; known are {', '.join(sorted(names))}" if names else "; none is defined"
        )
        section.complain_at(node, f"unknown {what} '{node.source}'{hint}")
        return False

    def notice_features(self, section: Section, node: Node, names: frozenset[str]) -> None:
        if "prev" in names:
            self._notice(section, node, "prev")
        for function in STATEFUL_FUNCTIONS:
            if any(name.startswith(f"{function}(") for name in names):
                self._notice(section, node, function)

    def _notice(self, section: Section, node: Node, feature: str) -> None:
        if feature not in self._supported:
            section.complain_at(
                node, f"'{feature}' is part of the language, but this version doesn't run it yet"
            )

    def complain_inside(self, node: Node, error: ExpressionInvalid, what: str) -> None:
        column = node.column + self._offset_of_text(node) + error.column - 1
        if not self._stands_in_one_line(node):
            column = node.column
        self.complaints.append(Complaint(self.path, node.line, column, f"in '{what}': {error}"))

    def _offset_of_text(self, node: Node) -> int:
        line = self._lines[node.line - 1] if node.line <= len(self._lines) else ""
        return 1 if line[node.column - 1 : node.column] in ("'", '"') else 0

    def _stands_in_one_line(self, node: Node) -> bool:
        """Whether the file spells the scalar as it reads: one line, no escapes."""
        line = self._lines[node.line - 1] if node.line <= len(self._lines) else ""
        start = node.column - 1 + self._offset_of_text(node)
        return node.kind == "scalar" and line.startswith(node.source, start)


def optional_ms(
    section: Section, key: str, default: int | None = None, *, least: int = 0
) -> int | None:
    """The duration under a key; `default` when it is not written."""
    return default if section.get(key) is None else section.duration_ms(key, least, least=least)


def _text(node: Node, wanted: str) -> str:
    if node.kind != "scalar":
        raise ExpressionInvalid(f"must be {wanted}")
    return node.source
