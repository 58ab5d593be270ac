"""Rule files written in tests: loaded with every feature of the language, or their complaints."""

from __future__ import annotations

import textwrap

from gateway.errors import DocumentInvalid
from gateway.rules.features import FEATURES
from gateway.rules.loader import parse_rules

HEAD = "version: 1\nrules:\n"
# Where the text of `rule_file` begins, so that tests can count lines and columns in their own text.
LINES_BEFORE = 2
COLUMNS_BEFORE = 2


def rule_file(rules: str) -> str:
    """A file around a list of rules."""
    return HEAD + textwrap.indent(textwrap.dedent(rules).strip("\n"), "  ") + "\n"


def load(rules: str):
    """The set that a list of rules makes."""
    return parse_rules(rule_file(rules), "r.yaml", FEATURES)


def load_one(rules: str):
    """The only rule of a list."""
    (rule,) = load(rules).rules
    return rule


def complaints(rules: str) -> list[str]:
    """`line:column: message` for each error, counted in the text that was given."""
    try:
        load(rules)
    except DocumentInvalid as error:
        return [
            f"{found.line - LINES_BEFORE}:{found.column - COLUMNS_BEFORE}: {found.message}"
            for found in error.complaints
        ]
    return []
