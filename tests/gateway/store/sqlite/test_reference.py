from __future__ import annotations

import sqlite3

import pytest

from gateway.store import read_reference


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "assets #1.db"
    with sqlite3.connect(found) as connection:
        connection.execute('CREATE TABLE "as""sets" (device TEXT, x REAL, note TEXT)')
        connection.executemany(
            'INSERT INTO "as""sets" VALUES (?, ?, ?)',
            [("a", 1.5, None), ("b", 2, "n"), ("c", 3, "")],
        )
    connection.close()
    return found


def test_the_rows_of_a_table_are_read_without_its_nulls(path):
    assert read_reference(path, 'as"sets', 10)[:2] == [
        {"device": "a", "x": 1.5},
        {"device": "b", "x": 2.0, "note": "n"},
    ]


def test_one_row_more_than_allowed_shows_that_there_are_more(path):
    assert len(read_reference(path, 'as"sets', 1)) == 2


def test_a_missing_table_and_a_missing_file_are_told(path, tmp_path):
    with pytest.raises(ValueError, match="no such table: other"):
        read_reference(path, "other", 1)
    with pytest.raises(ValueError, match="unable to open database file"):
        read_reference(tmp_path / "none.db", "other", 1)
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_text("not a database, by no means" * 50)
    with pytest.raises(ValueError, match="not a database"):
        read_reference(tmp_path / "text.db", "other", 1)
