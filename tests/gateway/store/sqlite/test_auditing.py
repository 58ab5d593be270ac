import sqlite3
from contextlib import closing

import orjson
import pytest

from gateway.clock import ManualClock
from gateway.store import StoreOptions, StreamSpec, open_store
from gateway.store.ledger import LedgerNote, encode_note
from gateway.store.sqlite.auditing import Ground, account_of, audit, consumer_account
from gateway.store.sqlite.rebuilding import RECORDS_LOST_MAX
from gateway.store.sqlite.schema import DATABASE_NAME
from gateway.store.sqlite.verifying import PartitionCheck, Reported
from tests.gateway.store.building import BASE_MS, STREAM, numbered
from tests.gateway.store.logs import write_small_log

REPORT = {
    "time": "2026-01-01T00:00:00Z",
    "finding": "a test",
    "gaps": [
        {"stream": STREAM, "partition": 0, "start_offset": 10, "stop_offset": 40},
        {
            "stream": STREAM,
            "partition": 0,
            "start_offset": 40,
            "stop_offset": 60,
            "is_jump": True,
        },
    ],
}


@pytest.fixture
def data_dir(tmp_path):
    return write_small_log(tmp_path)


def change(data_dir, sql, *parameters):
    with closing(sqlite3.connect(data_dir / DATABASE_NAME, isolation_level=None)) as connection:
        connection.execute(sql, parameters)


def put(data_dir, table, key, value):
    change(data_dir, "INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", table, key, value)


def a_ground(*, lost=(), jumps=(), floor=0, **settings):
    check = PartitionCheck(STREAM, 0, 1, log_start_offset=20, head_id=0, next_offset=100)
    check.records = 70
    check.gaps = [(40, 50)]
    for name, value in settings.items():
        setattr(check, name, value)
    return Ground(check, floor, Reported(list(lost), list(jumps)))


def test_removed_and_reported_records_are_accounted_for():
    account = account_of(a_ground(lost=[(40, 50)]))
    assert (account.accepted, account.stored, account.removed, account.damaged) == (100, 70, 20, 10)
    assert account.unaccounted == 0


def test_a_gap_that_nobody_reported_is_not():
    assert account_of(a_ground()).unaccounted == 10


def test_what_a_salvage_jumped_over_was_neither_accepted_nor_lost():
    account = account_of(a_ground(jumps=[(40, 50)]))
    assert (account.accepted, account.damaged, account.unaccounted) == (90, 0, 0)


def test_a_gap_that_retention_has_trimmed_inside_is_accounted_for():
    ground = a_ground(lost=[(10, 50)], gaps=[(20, 50)], records=50)
    account = account_of(ground)
    assert (account.removed, account.damaged, account.unaccounted) == (10, 40, 0)


def test_what_lay_before_a_floor_was_never_given_out():
    ground = a_ground(floor=20, gaps=[], records=80)
    assert (account_of(ground).accepted, account_of(ground).unaccounted) == (80, 0)


def test_a_consumer_behind_retention_has_dropped_what_was_removed():
    ground = a_ground(lost=[(40, 50)], ahead={10: (70, 0)})
    account = consumer_account("g", ground, 10)
    assert (account.passed, account.dropped_removed, account.dropped_damaged) == (10, 10, 10)
    assert account.pending == 70
    assert account.unaccounted == 0


def test_a_sound_log_balances(data_dir):
    found = audit(data_dir)
    assert found["balanced"], found
    (first, _) = found["consumers"]
    assert (first["passed"], first["pending"]) == (50, 50)


BREAKS = [
    ("DELETE FROM batches WHERE base_offset = 30", "offsets 30 to 39 are missing"),
    (
        "DELETE FROM batches WHERE base_offset = 90 AND partition_number = 2",
        "telemetry/1 ends at 90, and ended at 100 on",
    ),
    ("UPDATE group_offsets SET committed_offset = 60", "has offset 60, but its counts lead to 50"),
    ("UPDATE group_offsets SET passed = 7", "has offset 50, but its counts lead to 57"),
    ("UPDATE group_offsets SET committed_offset = 101", "its committed offset is 101"),
    (
        "UPDATE entries SET value = replace(value, '100', '110') WHERE table_name = 'ledger'",
        "the ledger's note of telemetry is not what was written",
    ),
    ("UPDATE partitions SET log_start_offset = 20", "begins at offset 0, before 20"),
    ("UPDATE batches SET record_count = 11 WHERE base_offset = 40", "doesn't match its checksum"),
]


@pytest.mark.parametrize(("sql", "named"), BREAKS)
def test_each_kind_of_break_is_named(data_dir, sql, named):
    put(data_dir, "ledger", STREAM, encode_note(LedgerNote([100, 100], BASE_MS)))
    assert audit(data_dir)["balanced"]
    change(data_dir, sql)
    found = audit(data_dir)
    assert not found["balanced"]
    assert any(named in own for own in found["breaks"]), found["breaks"]


def test_a_stream_that_is_gone_is_named(data_dir):
    put(data_dir, "ledger", "readings", encode_note(LedgerNote([7], BASE_MS)))
    assert "readings/0 is gone; it ended at 7" in audit(data_dir)["breaks"][0]


def test_reported_gaps_and_jumps_balance_and_old_reports_are_read(data_dir):
    change(
        data_dir,
        "DELETE FROM batches WHERE base_offset BETWEEN 10 AND 50 AND partition_number = 1",
    )
    put(data_dir, "damage", REPORT["time"], orjson.dumps(REPORT))
    (first, _) = audit(data_dir)["streams"]
    assert (first["accepted"], first["stored"], first["damaged"]) == (80, 50, 30)
    assert first["unaccounted"] == 0
    # A report of before jumps were told from losses: nothing else is as wide.
    wide = {**REPORT["gaps"][0], "start_offset": 200, "stop_offset": 200 + RECORDS_LOST_MAX}
    old = {**REPORT, "gaps": [*REPORT["gaps"], wide]}
    put(data_dir, "damage", REPORT["time"], orjson.dumps(old))
    assert audit(data_dir)["streams"][0]["damaged"] == 30


async def test_counts_follow_commits_and_seeks_over_restarts(tmp_path):
    for offsets in ((10, 30), (20,), (35,)):
        store = await open_store(StoreOptions(tmp_path), ManualClock(BASE_MS))
        await store.ensure(StreamSpec(STREAM, 1, retention_age_ms=None))
        await store.append([numbered(0, 20)])
        for offset in offsets:
            await store.commit_group("g", 0, offsets={(STREAM, 0): min(offset, 20)})
        await store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as connection:
        counts = connection.execute("SELECT since_offset, passed, returned FROM group_offsets")
        assert counts.fetchall() == [(10, 10, 0)]
    assert audit(tmp_path)["balanced"]
