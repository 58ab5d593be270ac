import random
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.store.sqlite.pages import (
    PAGE_BYTES,
    PageDamaged,
    Pages,
    outline,
    read_record,
    read_varint,
)


def make_tables(path):
    rng = random.Random(7)
    rows = [
        (
            number,
            rng.choice([None, 0, 1, -5, 1 << 20, -(1 << 40), 1 << 60, 2.5, "text", "é" * 9]),
            rng.randbytes(rng.choice([0, 3, 900, 5000, 20_000])),
        )
        for number in range(400)
    ]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE with_rowid (id INTEGER PRIMARY KEY, value, body)")
        connection.execute("CREATE TABLE without (id PRIMARY KEY, value, body) WITHOUT ROWID")
        connection.executemany("INSERT INTO with_rowid VALUES (?, ?, ?)", rows)
        connection.executemany("INSERT INTO without VALUES (?, ?, ?)", rows)
        connection.execute("DELETE FROM with_rowid WHERE id % 3 = 0")
        roots = dict(connection.execute("SELECT name, rootpage FROM sqlite_master"))
    return rows, roots


def test_a_walk_finds_what_sqlite_finds(tmp_path):
    rows, roots = make_tables(tmp_path / "db")
    pages = Pages(tmp_path / "db", {})
    kept = [row for row in rows if row[0] % 3]
    found = [(cell.rowid, *cell.values[1:]) for cell in pages.walk(roots["with_rowid"])]
    assert found == kept
    assert [cell.values for cell in pages.walk(roots["without"])] == rows
    assert not pages.damaged
    list(pages.walk(1))
    assert len(pages.used | pages.free()) >= pages.count - len(roots)
    pages.close()


def test_a_broken_page_costs_its_own_records_only(tmp_path):
    rows, roots = make_tables(tmp_path / "db")
    whole = Pages(tmp_path / "db", {})
    list(whole.walk(roots["without"]))
    broken = max(whole.used)
    pages = Pages(tmp_path / "db", {broken: bytes(PAGE_BYTES)})
    found = [cell.values for cell in pages.walk(roots["without"])]
    assert 0 < len(found) <= len(rows)
    pages.close()
    whole.close()


def test_a_record_that_a_page_counts_no_more_shows(tmp_path):
    _, roots = make_tables(tmp_path / "db")
    whole = Pages(tmp_path / "db", {})
    list(whole.walk(roots["with_rowid"]))
    leaf = next(one for one in sorted(whole.used) if whole.page(one)[0] == 0x0D)
    page = bytearray(whole.page(leaf))
    page[4] -= 1
    pages = Pages(tmp_path / "db", {leaf: bytes(page)})
    list(pages.walk(roots["with_rowid"]))
    assert pages.damaged == {leaf}
    pages.close()
    whole.close()


def test_a_page_that_leads_to_itself_ends_the_walk(tmp_path):
    (tmp_path / "db").write_bytes(bytes(PAGE_BYTES))
    loop = bytes([0x05, *bytes(7), *(1).to_bytes(4, "big")]).ljust(PAGE_BYTES, b"\0")
    pages = Pages(tmp_path / "db", {2: loop, 1: loop})
    assert list(pages.walk(2)) == []
    assert pages.damaged
    pages.close()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_record_is_read_or_refused(encoded):
    try:
        read_record(encoded)
        read_varint(encoded, 0)
    except PageDamaged:
        return


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=20, max_size=40))
def test_any_page_is_read_or_passed_over(tmp_path_factory, start):
    path = tmp_path_factory.mktemp("page") / "db"
    page = start.ljust(PAGE_BYTES, start[-1:])
    path.write_bytes(page)
    pages = Pages(path, {2: page})
    list(pages.cells_of(page, 2))
    list(pages.walk(2))
    pages.free()
    pages.close()


def test_what_is_no_tree_is_refused():
    with pytest.raises(PageDamaged, match="of no kind"):
        outline(bytes(PAGE_BYTES), 2)
