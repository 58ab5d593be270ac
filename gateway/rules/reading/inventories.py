"""The keys of a look-up file, where a rule wants to know of each whether it is silent."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping

import orjson

from gateway.rules.keys import key_text
from gateway.rules.spec import Lookup
from gateway.rules.values import Value

CSV_SUFFIX = ".csv"
JSON_SUFFIX = ".json"


def read_keys(lookup: Lookup, text: str) -> tuple[str, ...]:
    """The values of the look-up's key column, each once, in the order of the file.

    Raises:
        ValueError: the file isn't what its name says, or has no such column; the message is for
        people.
    """
    rows = _rows_of_csv(lookup, text) if lookup.file.endswith(CSV_SUFFIX) else _rows(lookup, text)
    texts = (key_text(row.get(lookup.key)) for row in rows)
    return tuple(dict.fromkeys(text for text in texts if text))


def _rows_of_csv(lookup: Lookup, text: str) -> Iterable[Mapping[str, Value]]:
    reader = csv.DictReader(text.splitlines())
    if lookup.key not in (reader.fieldnames or ()):
        known = ", ".join(reader.fieldnames or ()) or "none"
        raise ValueError(f"{lookup.file} has no column '{lookup.key}'; its columns are {known}")
    return reader


def _rows(lookup: Lookup, text: str) -> Iterable[Mapping[str, Value]]:
    if not lookup.file.endswith(JSON_SUFFIX):
        raise ValueError(
            f"the keys of {lookup.file} can't be listed; an inventory is a {CSV_SUFFIX} or "
            f"{JSON_SUFFIX} file"
        )
    rows = orjson.loads(text)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{lookup.file} must be a JSON list of objects")
    return rows
