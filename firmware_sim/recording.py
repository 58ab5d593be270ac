"""A recorded series in a file: CSV or JSON lines, plain or gzip, one event a row.

Rows come as the payloads that they will be published as. How fast and to whom is `player`'s affair.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Formatter
from typing import IO, Any, NamedTuple

import orjson

from firmware_sim.failures import SimulationFailed
from gateway.documents import did_you_mean
from gateway.errors import MqttError
from gateway.mqtt import check_topic_name

GZIP_MAGIC = b"\x1f\x8b"
JSON_LINES_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json"})
# A number as JSON writes it: '007' and '+5' are names that happen to have digits.
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
INTEGER_CHARACTERS_MAX = 20
INTEGER_MAX = (1 << 63) - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
# Epoch times below this are seconds (until the year 5138), above it milliseconds (since 1973).
SECONDS_BELOW = 1e11
TIME_MS_MAX = 1 << 53
TIME_FIELD = "ts"

Cell = str | int | float | bool | None | list[Any] | dict[str, Any]


class RecordingInvalid(SimulationFailed):
    """A file can't be replayed; says which line of it is wrong."""


class Row(NamedTuple):
    """One event of a recording."""

    time_ms: int
    topic: str
    payload: bytes


class Survey(NamedTuple):
    """What a whole recording holds."""

    rows: int
    first_ms: int
    last_ms: int


class Recording:
    """A file of events, read from its beginning as often as needed, a row at a time."""

    def __init__(
        self,
        path: Path,
        topic_template: str,
        time_column: str,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        """`topic_template` may name columns in braces, as in ``plant/{machine}/temperature``.

        With `fields` the payload has only these columns, each under the name that it maps to.
        """
        self.path = path
        self._fields = fields
        self._time_column = time_column
        self._topic_template = topic_template
        try:
            names = [name for _, name, _, _ in Formatter().parse(topic_template)]
        except ValueError as error:
            raise RecordingInvalid(
                f"the topic '{topic_template}' can't be read: {error}"
            ) from error
        self._topic_columns = [name for name in names if name is not None]
        if not self._topic_columns:
            self._check_topic(topic_template, "--topic")

    def survey(self) -> Survey:
        """Read and check every row once.

        Raises:
            RecordingInvalid: the file can't be read, or a row is wrong; the first one is named.
        """
        count, first_ms, last_ms = 0, 0, 0
        for row in self.rows():
            first_ms = row.time_ms if count == 0 else first_ms
            last_ms = row.time_ms
            count += 1
        if count == 0:
            raise RecordingInvalid(f"{self.path}: holds no rows")
        return Survey(count, first_ms, last_ms)

    def rows(self, shift_ms: int = 0) -> Iterator[Row]:
        """Every row, in the file's order, its time moved by `shift_ms`.

        Raises:
            RecordingInvalid: the file can't be read, or a row is wrong.
        """
        suffixes = [suffix for suffix in self.path.suffixes if suffix != ".gz"]
        read = (
            read_json_lines if suffixes[-1:] and suffixes[-1] in JSON_LINES_SUFFIXES else read_csv
        )
        try:
            with _open(self.path) as text:
                for line_no, cells in read(text, self.path):
                    yield self._row(line_no, cells, shift_ms)
        except UnicodeDecodeError as error:
            raise RecordingInvalid(f"{self.path}: is not UTF-8 text: {error.reason}") from error
        except (OSError, EOFError, zlib.error) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise RecordingInvalid(f"{self.path}: can't be read: {why}") from error

    def _row(self, line_no: int, cells: dict[str, Cell], shift_ms: int) -> Row:
        where = f"{self.path}:{line_no}"
        if self._time_column not in cells:
            hint = did_you_mean(self._time_column, cells) or f"; it has {', '.join(cells)}"
            raise RecordingInvalid(f"{where}: no time column '{self._time_column}'{hint}")
        if TIME_FIELD in (self._fields or cells) and self._time_column != TIME_FIELD:
            raise RecordingInvalid(
                f"{where}: the column '{TIME_FIELD}' would be overwritten by the event time; "
                f"if it is the time, say --time-column {TIME_FIELD}"
            )
        time_ms = parse_time_ms(cells[self._time_column])
        if time_ms is None:
            raise RecordingInvalid(
                f"{where}: '{cells[self._time_column]}' is not a time "
                "(write 2013-12-02 21:15:00, an ISO time, or seconds or milliseconds since 1970)"
            )
        time_ms += shift_ms
        topic = self._topic(cells, where) if self._topic_columns else self._topic_template
        if self._fields is not None:
            cells = self._pick(cells, where)
        cells[TIME_FIELD] = time_ms
        return Row(time_ms, topic, orjson.dumps(cells))

    def _pick(self, cells: Mapping[str, Cell], where: str) -> dict[str, Cell]:
        picked: dict[str, Cell] = {}
        for column, field in (self._fields or {}).items():
            if column not in cells:
                hint = did_you_mean(column, cells) or f"; it has {', '.join(cells)}"
                raise RecordingInvalid(f"{where}: no column '{column}' for a field{hint}")
            picked[field] = cells[column]
        return picked

    def _topic(self, cells: Mapping[str, Cell], where: str) -> str:
        for name in self._topic_columns:
            if name not in cells:
                hint = did_you_mean(name, cells) or f"; it has {', '.join(cells)}"
                raise RecordingInvalid(f"{where}: no column '{name}' for the topic{hint}")
        topic = "".join(
            text + ("" if name is None else str(cells[name]))
            for text, name, _, _ in Formatter().parse(self._topic_template)
        )
        self._check_topic(topic, where)
        return topic

    @staticmethod
    def _check_topic(topic: str, where: str) -> None:
        try:
            check_topic_name(topic)
        except MqttError as error:
            raise RecordingInvalid(f"{where}: {error}") from error


def _open(path: Path) -> IO[str]:
    """Open a text file, unpacking gzip, whatever it is called."""
    with path.open("rb") as raw:
        is_packed = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    if is_packed:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def read_csv(text: IO[str], path: Path) -> Iterator[tuple[int, dict[str, Cell]]]:
    """Each row after the header, with its line number; numbers are numbers, empty cells null."""
    reader = csv.reader(text, strict=True)
    try:
        header = next(reader, [])
        if len(set(header)) != len(header) or "" in header:
            raise RecordingInvalid(f"{path}:1: every column needs a name of its own in the header")
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                where = f"{path}:{reader.line_num}"
                raise RecordingInvalid(
                    f"{where}: {len(cells)} cells where the header has {len(header)}"
                )
            yield reader.line_num, dict(zip(header, map(parse_cell, cells), strict=True))
    except csv.Error as error:
        raise RecordingInvalid(f"{path}:{reader.line_num}: not CSV: {error}") from error


def read_json_lines(text: IO[str], path: Path) -> Iterator[tuple[int, dict[str, Cell]]]:
    """Each line that is not empty, with its number; every one must be a JSON object."""
    for line_no, line in enumerate(text, start=1):
        if not line.strip():
            continue
        try:
            cells = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise RecordingInvalid(f"{path}:{line_no}: not JSON: {error}") from error
        if not isinstance(cells, dict):
            raise RecordingInvalid(f"{path}:{line_no}: expected a JSON object")
        yield line_no, cells


def parse_cell(text: str) -> Cell:
    """Read a CSV cell: a number if JSON would call it one, null if it is empty, else text."""
    match = NUMBER.fullmatch(text)
    if match is None:
        return text or None
    if match[1] is None and match[2] is None and len(text) <= INTEGER_CHARACTERS_MAX:
        integer = int(text)
        if abs(integer) <= INTEGER_MAX:
            return integer
    number = float(text)
    return text if number in (float("inf"), float("-inf")) else number


def parse_time_ms(cell: Cell) -> int | None:
    """Read a time as milliseconds since the epoch; None when it is none.

    Text without an offset is UTC. A small number is seconds, a large one milliseconds.
    """
    if isinstance(cell, (int, float)) and not isinstance(cell, bool):
        time_ms = round(cell * 1_000) if abs(cell) < SECONDS_BELOW else round(cell)
        return time_ms if abs(time_ms) < TIME_MS_MAX else None
    if not isinstance(cell, str):
        return None
    try:
        moment = datetime.fromisoformat(cell.strip())
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // MILLISECOND
