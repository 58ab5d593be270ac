import sqlite3
from contextlib import closing

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.sqlite.schema import DATABASE_NAME
from gateway.store.sqlite.verifying import verify
from tests.gateway.store.logs import write_small_log


@pytest.fixture
def data_dir(tmp_path):
    return write_small_log(tmp_path)


def change(data_dir, sql):
    with closing(sqlite3.connect(data_dir / DATABASE_NAME, isolation_level=None)) as connection:
        connection.execute(sql)


def test_a_sound_log_has_no_faults(data_dir):
    verdict = verify(data_dir)
    assert verdict.is_sound
    assert verdict.batch_count == 20


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("DELETE FROM batches WHERE base_offset = 30", "offsets 30 to 39 are missing"),
        ("UPDATE batches SET last_ms = 0 WHERE base_offset = 30", "doesn't match its checksum"),
        ("UPDATE group_offsets SET committed_offset = 101", "ends at 100"),
        ("UPDATE group_offsets SET stream = 'other'", "doesn't exist"),
        ("UPDATE partitions SET stream = 'other'", "not those of their copy"),
        ("UPDATE partitions SET log_start_offset = 20", "before 20"),
        ("DELETE FROM partitions WHERE number = 2", "no partition has number 2"),
    ],
)
def test_each_fault_is_named(data_dir, sql, fault):
    change(data_dir, sql)
    assert any(fault in own for own in verify(data_dir).faults), verify(data_dir).faults


def test_the_hash_depends_on_every_byte_of_a_record_and_not_on_batches(tmp_path):
    first, second = (write_small_log(tmp_path / name) for name in "ab")
    assert verify(first).summary()["streams"] == verify(second).summary()["streams"]


def test_a_directory_without_a_log_is_said_to_be_one(tmp_path):
    with pytest.raises(StoreUnavailable, match="there is no log"):
        verify(tmp_path)
