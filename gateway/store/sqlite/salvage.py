"""Finding what can be read in a damaged database; `gateway.store.sqlite.rebuilding` writes it anew.

The trees of the tables are walked page by page, over the main file and every committed version in
the WAL; whatever can't be read is left out. Pages that no tree and no list of free pages accounts
for are looked through for batches and for rows of the other tables, since the page that led to them
may be the broken one. A batch counts only when its checksum is right; other rows carry none.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from gateway.store.sqlite.pages import Cell, PageDamaged, Pages, Value
from gateway.store.sqlite.rows import BatchRow, is_intact

BATCH_COLUMN_COUNT = len(BatchRow._fields)
SHAPES: dict[str, tuple[type, ...]] = {
    "entries": (str, str, bytes),
    "group_offsets": (str, str, int, int, int, int, int),
}
"""Tables whose rows can be told from others when nothing leads to them any more."""

TYPES_BY_DECLARED: dict[str, tuple[type, ...]] = {
    "INTEGER": (int,),
    "TEXT": (str,),
    "BLOB": (bytes,),
    "REAL": (float, int),
    "": (int, float, str, bytes, type(None)),
}
EVERY_ID = 1 << 63
Row = dict[str, Value]


class Column(NamedTuple):
    """One column of a table, and what may stand in it."""

    name: str
    types: tuple[type, ...]


class Table(NamedTuple):
    """A table of today's schema: its columns as they stand in a record, and in SQL's order."""

    name: str
    stored_columns: Sequence[Column]
    rowid_column: str | None
    key_columns: Sequence[str]

    def row(self, cell: Cell) -> Row | None:
        """A record by column; None when it can't be one of this table."""
        own: Row = {}
        for column, value in zip(self.stored_columns, cell.values, strict=False):
            if column.name == self.rowid_column:
                own[column.name] = cell.rowid
            elif isinstance(value, column.types):
                own[column.name] = value
            else:
                return None
        return own if all(key in own for key in self.key_columns) else None


class Finds:
    """Everything readable in a damaged file."""

    def __init__(
        self, pages: Pages, tables: Sequence[Table], default_roots: Mapping[str, int]
    ) -> None:
        self.batches: dict[int, BatchRow] = {}
        self.suspects: list[BatchRow] = []
        self.doubtful_id = 0
        """No batch with a higher id than this is lost; `EVERY_ID` when that can't be said."""
        self.rows: defaultdict[str, dict[tuple[Value, ...], Row]] = defaultdict(dict)
        self._pages = pages
        self._tables = {table.name: table for table in tables}
        # Where the schema can't be read, tables are where they are in a new file.
        self._roots = self._read_roots()
        missing = {own: at for own, at in default_roots.items() if own not in self._roots}
        named = {own: at for own, at in self._roots.items() if at not in missing.values()}
        self._roots = named | missing

    def _read_roots(self) -> dict[str, int]:
        roots = {}
        for cell in self._pages.walk(1):
            match cell.values:
                case ("table", str(name), _, int(root), *_) if name in self._tables:
                    roots[name] = root
                case ("table" | "index", str(), _, int(root), *_):
                    roots[f"-{root}"] = root
        return roots

    def search(self) -> None:
        """Walk every table, then whatever page nothing leads to."""
        for name, root in self._roots.items():
            if name == "batches":
                self._search_batches(root)
                continue
            for cell in self._pages.walk(root):
                self._take(name, cell)
        accounted = self._pages.used | self._pages.free()
        for number in range(1, self._pages.count + 1):
            if number not in accounted or number in self._pages.damaged:
                self._look_through(number)

    def _search_batches(self, root: int) -> None:
        """Walk the log in its order; whatever is lost lies before the next batch that isn't."""
        damaged = len(self._pages.damaged)
        is_whole = True
        for cell in self._pages.walk(root):
            is_taken = self._take_batch(cell)
            is_whole = is_whole and is_taken and len(self._pages.damaged) == damaged
            if is_taken and not is_whole:
                self.doubtful_id = cell.rowid
                is_whole = True
            damaged = len(self._pages.damaged)
        if not is_whole or len(self._pages.damaged) != damaged or not self.batches:
            self.doubtful_id = EVERY_ID

    def take_versions(self, versions: Iterable[tuple[int, bytes]]) -> None:
        """Look through older versions of pages, newest first, for what the newest have lost."""
        for number, page in versions:
            for cell in self._pages.cells_of(page, number):
                if cell.rowid not in self.batches:
                    self._take_batch(cell)

    def _look_through(self, number: int) -> None:
        try:
            page = self._pages.page(number)
        except PageDamaged:
            self._pages.damaged.add(number)
            return
        for cell in self._pages.cells_of(page, number):
            if self._take_batch(cell):
                if cell.rowid > self.doubtful_id:
                    # The tree has more than could be walked: its end was not the end.
                    self.doubtful_id = EVERY_ID
                continue
            for name, shape in SHAPES.items():
                if tuple(map(type, cell.values)) == shape:
                    self._take(name, cell, is_orphan=True)

    def _take(self, name: str, cell: Cell, *, is_orphan: bool = False) -> None:
        if self._take_batch(cell) or name == "batches" or name not in self._tables:
            return
        table = self._tables[name]
        row = table.row(cell)
        if row is not None:
            key = tuple(row[column] for column in table.key_columns)
            if not (is_orphan and key in self.rows[name]):
                self.rows[name][key] = row

    def _take_batch(self, cell: Cell) -> bool:
        if len(cell.values) != BATCH_COLUMN_COUNT or cell.values[0] is not None:
            return False
        row = BatchRow(cell.rowid, *cell.values[1:])  # type: ignore[arg-type]  # checked next
        if is_intact(row):
            self.batches[row.id] = row
            return True
        self.suspects.append(row)
        return False


def read_tables(connection: sqlite3.Connection) -> Iterator[Table]:
    """The tables of a new database, as their records are laid out."""
    for name, sql in connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name"
    ).fetchall():
        columns = connection.execute(f"PRAGMA table_info({name})").fetchall()
        keys = [own[1] for own in sorted(columns, key=lambda own: own[5]) if own[5]]
        by_name = {own[1]: column_of(own[1], own[2], is_needed=own[3] > 0) for own in columns}
        if "WITHOUT ROWID" in sql:
            rest = [own for own in by_name if own not in keys]
            yield Table(name, [by_name[own] for own in [*keys, *rest]], None, keys)
        else:
            is_alias = len(keys) == 1 and int in by_name[keys[0]].types
            yield Table(name, list(by_name.values()), keys[0] if is_alias else None, keys)


def column_of(name: str, declared: str, *, is_needed: bool) -> Column:
    """A column by its declaration."""
    types = TYPES_BY_DECLARED.get(declared, TYPES_BY_DECLARED[""])
    return Column(name, types if is_needed or declared == "" else (*types, type(None)))


def read_roots(connection: sqlite3.Connection) -> dict[str, int]:
    """The first page of each table of a new database."""
    return dict(connection.execute("SELECT name, rootpage FROM sqlite_master WHERE type = 'table'"))
