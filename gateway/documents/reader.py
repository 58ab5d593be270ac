"""Reads YAML files that people write; whatever is wrong with one is a complaint with its place."""

from __future__ import annotations

from pathlib import Path

import yaml
from yaml.reader import ReaderError

from gateway.documents.section import Section
from gateway.documents.tree import Node, TreeBuilder
from gateway.errors import Complaint, DocumentInvalid

DOCUMENT_BYTES_MAX = 4 << 20


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
            raise _refusal(name, 1, 1, f"larger than {DOCUMENT_BYTES_MAX} bytes")
        encoded = path.read_bytes()
    except OSError as error:
        raise _refusal(name, 1, 1, f"can't be read: {error.strerror}") from error
    try:
        return encoded.decode()
    except UnicodeDecodeError as error:
        before = encoded[: error.start].decode()
        line, column = _place(before, len(before))
        raise _refusal(name, line, column, f"is not UTF-8 text: {error.reason}") from error


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
        DocumentInvalid: it is not YAML, is nested too deep, or is no mapping.
    """
    builder = TreeBuilder(text, path)
    section = Section(_build(builder, text, path), path, builder.complaints)
    if section.node.kind != "mapping":
        section.complain("expected a mapping of keys to values")
        section.raise_complaints()
    return section


def _build(builder: TreeBuilder, text: str, path: str) -> Node:
    try:
        return builder.build()
    except ReaderError as error:
        # Its position counts characters or bytes, as the loader likes; so look for the character.
        line, column = _place(text, text.find(chr(error.character)))
        raise _refusal(path, line, column, f"U+{error.character:04X} can't stand here") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _refusal(path, line, column, f"not YAML: {_problem(error, text)}") from error


def _refusal(path: str, line: int, column: int, message: str) -> DocumentInvalid:
    return DocumentInvalid([Complaint(path, line, column, message)])


def _place(text: str, index: int) -> tuple[int, int]:
    """The line and the column of a character, both from 1 on."""
    before = text[:index]
    return before.count("\n") + 1, index - before.rfind("\n")


def _problem(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark
    if mark is not None and text[mark.index : mark.index + 1] == "\t":
        return "a tab can't indent; use spaces"
    return str(error.problem or error.context)
