import sqlite3
from contextlib import closing

from gateway.store.sqlite.pages import Cell, Pages
from gateway.store.sqlite.salvage import Finds, read_roots, read_tables
from gateway.store.sqlite.schema import DATABASE_NAME, MIGRATIONS
from tests.gateway.store.logs import write_small_log


def schema():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for script in MIGRATIONS:
        connection.executescript(script)
    return connection


def find(path, change=None):
    with closing(schema()) as connection:
        tables, roots = list(read_tables(connection)), read_roots(connection)
    pages = Pages(path, change or {})
    finds = Finds(pages, tables, roots)
    finds.search()
    pages.close()
    return finds


def test_rows_are_laid_out_as_the_schema_says():
    with closing(schema()) as connection:
        tables = {table.name: table for table in read_tables(connection)}
    partition = tables["partitions"]
    assert partition.rowid_column == "number"
    row = partition.row(Cell(7, (None, "telemetry", 1, 0, 512, 0)))
    assert (row["number"], row["stream"], row["head_id"]) == (7, "telemetry", 512)
    assert partition.row(Cell(7, (None, 1, "telemetry", 0, 0, 0))) is None
    assert tables["entries"].key_columns == ["table_name", "key"]


def test_everything_is_found_in_a_sound_log(tmp_path):
    data_dir = write_small_log(tmp_path)
    finds = find(data_dir / DATABASE_NAME)
    assert len(finds.batches) == 20
    assert not finds.suspects
    assert len([key for key in finds.rows["entries"] if key[0] == "notes"]) == 10
    assert finds.rows["group_offsets"].keys() == {
        ("rules", "telemetry", 0),
        ("rules", "telemetry", 1),
    }


def test_batches_are_found_when_nothing_leads_to_them(tmp_path):
    path = write_small_log(tmp_path) / DATABASE_NAME
    finds = find(path, {1: bytes(4096)})
    assert len(finds.batches) == 20
    assert len([key for key in finds.rows["entries"] if key[0] == "notes"]) == 10
