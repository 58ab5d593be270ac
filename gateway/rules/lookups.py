"""Reference rows that rules look up: how files become rows, and which version holds (RULES S3).

Every version that is loaded is a record of the stream `lookups`. It holds for the records that come
after it in the log, so that a replay sees what was true then.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

import orjson

from gateway.rules.keys import key_text
from gateway.rules.spec import EnrichSpec, Lookup, Scope
from gateway.rules.values import UNKNOWN, Value

LOOKUPS_STREAM: Final = "lookups"
FILE_BYTES_MAX: Final = 4 << 20
ROWS_MAX: Final = 100_000
TABLE_SUFFIXES: Final = (".db", ".sqlite", ".sqlite3")
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?")
WORDS: Final[Mapping[str, Value]] = {"true": True, "false": False}
Row = Mapping[str, Value]


class Version(NamedTuple):
    """What a look-up holds from some record of the log on."""

    lookup: str
    version: str
    rows: Mapping[str, Row]

    def encode(self) -> bytes:
        """The version as a record of the stream of look-ups."""
        return orjson.dumps(self._asdict())


class Enriching:
    """One `enrich` of a rule, with the rows of all look-ups."""

    __slots__ = ("_key", "_lookup", "_versions", "name")

    def __init__(self, spec: EnrichSpec, versions: Mapping[str, Version]) -> None:
        self.name = spec.name
        self._lookup = spec.lookup
        self._key = spec.key.evaluate
        self._versions = versions

    def row(self, scope: Scope) -> Value:
        """The row for the event in the scope; unknown where there is none."""
        version = self._versions.get(self._lookup)
        text = key_text(self._key(scope)) if version is not None else None
        if version is None or text is None:
            return UNKNOWN
        return version.rows.get(text, UNKNOWN)


def decode_version(payload: bytes) -> Version | None:
    """A record of the stream of look-ups; None for what is none."""
    try:
        fields = orjson.loads(payload)
        return Version(fields["lookup"], fields["version"], fields["rows"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None


def read_rows(lookup: Lookup, content: bytes) -> list[Row]:
    """The rows of a CSV or JSON file, in its order.

    The cells of CSV that look like numbers are numbers, `true` and `false` are truth values, and
    empty ones are left out.

    Raises:
        ValueError: the file isn't what its name says; the message is for people.
    """
    if len(content) > FILE_BYTES_MAX:
        raise ValueError(f"it has {len(content)} bytes; at most {FILE_BYTES_MAX} are read")
    if lookup.file.endswith(".csv"):
        reader = csv.DictReader(content.decode("utf-8-sig").splitlines(), strict=True)
        try:
            return [_of_csv(row) for row in reader]
        except csv.Error as error:
            raise ValueError(f"line {reader.line_num}: {error}") from None
    if not lookup.file.endswith(".json"):
        suffixes = ", ".join((".csv", ".json", *TABLE_SUFFIXES))
        raise ValueError(f"a look-up is a file that ends in one of {suffixes}")
    rows = orjson.loads(content)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it must be a JSON list of objects")
    return rows


def version_of(lookup: Lookup, rows: Iterable[Row]) -> Version:
    """The rows by their key, as one version; equal rows are the same version.

    Raises:
        ValueError: rows without a key, with the same key, or too many; the message is for people.
    """
    found: dict[str, Row] = {}
    for number, row in enumerate(rows, start=1):
        text = key_text(row.get(lookup.key, UNKNOWN))
        if not text:
            columns = ", ".join(row) or "none"
            raise ValueError(f"row {number} has no '{lookup.key}'; its columns are {columns}")
        if text in found:
            raise ValueError(f"row {number} has the '{lookup.key}' of another row: {text!r}")
        if number > ROWS_MAX:
            raise ValueError(f"it has more than {ROWS_MAX} rows")
        found[text] = row
    try:
        content = orjson.dumps(found, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise ValueError(f"a value that JSON can't hold: {error}") from None
    return Version(lookup.name, blake2b(content, digest_size=16).hexdigest(), found)


def _of_csv(row: Mapping[str, str | None]) -> Row:
    if None in row or None in row.values():
        raise csv.Error("the row has not as many cells as the first line")
    return {name: _cell(text) for name, text in row.items() if text}


def _cell(text: str) -> Value:
    if NUMBER.fullmatch(text):
        return orjson.loads(text)
    return WORDS.get(text, text)
