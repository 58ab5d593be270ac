"""Payloads that people can type: a number, a text, a line of separated values."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from gateway.devices.decoders.limits import Decode, DecodeLimits, Undecodable

NUMBER = re.compile(r"[+-]?(?:\d{1,400}(?:\.\d{0,400})?|\.\d{1,400})(?:[eE][+-]?\d{1,4})?", re.A)
INTEGER = re.compile(r"[+-]?\d{1,18}", re.A)
SHOWN_CHARS_MAX = 40
NOT_READ = "-"


def text_decoder(limits: DecodeLimits, name: str) -> Decode:
    """Decode UTF-8 text: as the field `name`, or bare when that is empty."""

    def decode(raw: bytes) -> Any:
        text = _text_of(raw, limits)
        return {name: text} if name else text

    return decode


def number_decoder(limits: DecodeLimits, name: str) -> Decode:
    """Decode one decimal number: as the field `name`, or bare when that is empty."""

    def decode(raw: bytes) -> Any:
        number = read_number(_text_of(raw, limits).strip())
        return {name: number} if name else number

    return decode


def csv_decoder(
    limits: DecodeLimits, columns: Sequence[str], separator: str, texts: frozenset[str]
) -> Decode:
    """Decode one line of separated values into the fields that `columns` names.

    What looks like a number is one, except in the columns `texts`. An empty cell is null, a column
    called `-` is left out, and a quoted cell may contain the separator.
    """
    read_by_column: list[tuple[str, Callable[[str], Any]]] = [
        (column, _text_cell if column in texts else _cell) for column in columns
    ]
    is_whole = NOT_READ not in columns

    def decode(raw: bytes) -> dict[str, Any]:
        line = _text_of(raw, limits).rstrip("\r\n")
        cells = _quoted_cells(line, separator) if '"' in line else line.split(separator)
        if len(cells) != len(read_by_column):
            raise Undecodable(f"{len(cells)} values in a line of {len(read_by_column)} columns")
        found = {
            column: read(cell) for (column, read), cell in zip(read_by_column, cells, strict=True)
        }
        if not is_whole:
            del found[NOT_READ]
        return found

    return decode


def read_number(text: str) -> int | float:
    """A decimal number as people write it.

    Raises:
        Undecodable: it is none, or too large for a float.
    """
    if INTEGER.fullmatch(text):
        return int(text)
    if not NUMBER.fullmatch(text):
        shown = text[:SHOWN_CHARS_MAX]
        raise Undecodable(f"{shown!r} is not a number")
    number = float(text)
    if math.isinf(number):
        raise Undecodable(f"{text[:SHOWN_CHARS_MAX]!r} is too large for a number")
    return number


def _text_of(raw: bytes, limits: DecodeLimits) -> str:
    limits.check_size(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Undecodable(f"not UTF-8 text: {error.reason} at byte {error.start}") from None


def _quoted_cells(line: str, separator: str) -> list[str]:
    try:
        rows = list(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        raise Undecodable(f"not a line of separated values: {error}") from None
    return rows[0] if len(rows) == 1 else []


def _cell(text: str) -> Any:
    text = text.strip()
    if not text:
        return None
    if NUMBER.fullmatch(text):
        return read_number(text)
    return text


def _text_cell(text: str) -> Any:
    return text or None
