"""Reads tables of other programs: reference data that the rules look up."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def read_reference(path: Path, table: str, rows_max: int) -> list[dict[str, Any]]:
    """The rows of a table or view of an SQLite file, at most `rows_max` + 1 of them.

    NULLs are left out. The file is opened for reading only.

    Raises:
        ValueError: it is no such file, or has no such table.
    """
    quoted = table.replace('"', '""')
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as found:
            cursor = found.execute(f'SELECT * FROM "{quoted}" LIMIT ?', (rows_max + 1,))  # noqa: S608 - quoted; a name can't be a parameter
            names = [column[0] for column in cursor.description]
            return [
                {name: value for name, value in zip(names, row, strict=True) if value is not None}
                for row in cursor
            ]
    except sqlite3.Error as error:
        raise ValueError(str(error)) from None
