import sqlite3

import pytest

from gateway.store.limits import Allowance
from gateway.store.sqlite.catalog import LAST_BATCHES_SQL
from gateway.store.sqlite.planning import (
    ROWS_LOADED_MAX,
    WindowRow,
    build_plan,
    choose,
    windows_sql,
)
from gateway.store.sqlite.reader import EXTENT_SQL, MOMENT_SQL
from gateway.store.sqlite.rows import insert_sql
from gateway.store.sqlite.schema import FENCE_SPAN, batch_id, migration_script
from tests.gateway.store.building import STREAM

KEY = (STREAM, 0)
OTHER = (STREAM, 1)


def a_row(commit_no, base_offset, count=10, *, number=1, has_more=0, body_bytes=100):
    place = batch_id(commit_no, number)
    return WindowRow(place, number, base_offset, count, count, 0, body_bytes, 0, has_more)


def plan(position, *rows):
    return build_plan(rows, {1: (KEY, position), 2: (OTHER, 0)})


def test_what_is_new_at_a_position_is_counted():
    found = plan(4, a_row(1, 0), a_row(2, 10)).batches
    assert [(batch.next_offset, batch.fresh_count) for batch in found] == [(10, 6), (20, 10)]


def test_partitions_are_put_in_merge_order():
    found = plan(0, a_row(2, 0), a_row(1, 0, number=2), a_row(3, 10), a_row(3, 10, number=2))
    assert [(batch.id >> 9, batch.key[1]) for batch in found.batches] == [
        (1, 1),
        (2, 0),
        (3, 0),
        (3, 1),
    ]
    assert not found.has_more


def test_nothing_is_planned_behind_what_may_be_missing():
    found = plan(
        0,
        a_row(1, 0, has_more=1),
        a_row(4, 10, has_more=1),
        *(a_row(n, n, 1, number=2) for n in range(9)),
    )
    assert found.has_more
    assert [(batch.id >> 9, batch.key[1]) for batch in found.batches] == [
        (0, 1),
        (1, 0),
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 0),
    ]


def test_a_batch_that_two_windows_show_is_planned_once():
    found = plan(0, a_row(1, 0), a_row(2, 10), a_row(2, 10, has_more=1))
    assert [batch.base_offset for batch in found.batches] == [0, 10]


def test_a_count_that_was_damaged_does_not_reach_into_the_next_batch():
    found = plan(0, a_row(1, 0, 500), a_row(2, 10))
    assert [batch.next_offset for batch in found.batches] == [10, 20]
    found = plan(12, a_row(1, 0, 500), a_row(2, 10))
    assert [batch.next_offset for batch in found.batches] == [20]


def test_batches_are_chosen_until_they_fill_the_allowance():
    planned = plan(0, *(a_row(n, 10 * n) for n in range(20))).batches
    assert len(choose(planned, Allowance(25, 1 << 20))) == 3
    assert len(choose(planned, Allowance(100, 15))) == 2
    assert len(choose(planned, Allowance(0, 0))) == 1
    assert choose([], Allowance(10, 10)) == []
    assert len(choose(planned * 100, Allowance(1 << 40, 1 << 40))) == ROWS_LOADED_MAX


COMMITS = range(1, 1000)
MEMBERS = {1: COMMITS, 2: COMMITS[8::9], 3: (7, 800)}
"""A busy partition, one that is in every ninth commit, and one that is in only two."""


def rows_of(number):
    """What the committer would have written of a partition, two records a batch."""
    fence_id = None
    for index, commit_no in enumerate(MEMBERS[number]):
        identity = batch_id(commit_no, number)
        is_fence = fence_id is None or identity >= fence_id + FENCE_SPAN
        fence_id = identity if is_fence else fence_id
        yield (identity, number, 2 * index, 2, 0, commit_no, 1, 1, is_fence, 0, b"body")


@pytest.fixture
def database():
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.executescript(migration_script(0))
    for number in MEMBERS:
        database.execute("INSERT INTO partitions VALUES (?, 's', ?, 0, 0, 0)", (number, number))
        database.executemany(insert_sql(1), rows_of(number))
    yield database
    database.close()


def everything_after(database, number, position):
    return database.execute(
        "SELECT id FROM batches WHERE partition_number = ? AND base_offset + 2 > ? ORDER BY id",
        (number, position),
    ).fetchall()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_windows_show_the_next_batches_and_say_when_there_are_more(database, number):
    (end,) = database.execute(
        "SELECT max(base_offset) + 2 FROM batches WHERE partition_number = ?", (number,)
    ).fetchone()
    for position in range(end + 2):
        rows = database.execute(windows_sql(1), (number, position)).fetchall()
        found = build_plan(rows, {number: (KEY, position)})
        expected = [row[0] for row in everything_after(database, number, position)]
        ids = [batch.id for batch in found.batches]
        assert ids == expected[: len(ids)]
        assert found.has_more or len(ids) == len(expected)
        assert bool(ids) == bool(expected)


def test_windows_of_several_partitions_come_in_one_statement(database):
    rows = database.execute(windows_sql(3), (1, 0, 2, 0, 3, 0)).fetchall()
    found = build_plan(rows, {number: ((STREAM, number), 0) for number in (1, 2, 3)})
    ids = [batch.id for batch in found.batches]
    (last,) = ids[-1:]
    expected = database.execute(
        "SELECT id FROM batches WHERE id <= ? ORDER BY id", (last,)
    ).fetchall()
    assert ids == [row[0] for row in expected]


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        (windows_sql(2), (1, 0, 2, 5)),
        (EXTENT_SQL, (1,)),
        (MOMENT_SQL, {"low": 0, "high": 90, "time_ms": 9, "number": 1}),
        (LAST_BATCHES_SQL, ()),
    ],
)
def test_no_statement_goes_over_the_whole_log(database, sql, parameters):
    steps = [row[-1] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    assert any("USING INDEX batch_fences" in step for step in steps)
    assert not any("AUTOMATIC" in step for step in steps)
    scanned = {step.split()[1] for step in steps if step.startswith("SCAN")}
    assert scanned.isdisjoint({"b", "batches", "first", "last"})
