import sqlite3
from contextlib import closing

from gateway.store import verify_log
from gateway.store.sqlite.rebuilding import RECORDS_LOST_MAX, LostStretch, rebuild
from gateway.store.sqlite.schema import DATABASE_NAME
from tests.gateway.store.logs import write_small_log

NOW_MS = 1_700_000_000_000


def test_a_rebuilt_log_has_every_batch_and_is_sound(tmp_path):
    source = write_small_log(tmp_path / "data") / DATABASE_NAME
    (tmp_path / "new").mkdir()
    salvaged = rebuild(source, tmp_path / "new" / DATABASE_NAME, b"", NOW_MS)
    assert (salvaged.record_count, salvaged.damaged_pages) == (200, 0)
    verdict = verify_log(tmp_path / "new")
    assert verdict["sound"]
    assert verdict["streams"]["telemetry"]["records"] == 200


def test_offsets_go_on_where_the_last_batch_is_known_to_be_the_last(tmp_path):
    source = write_small_log(tmp_path / "data") / DATABASE_NAME
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.execute("UPDATE batches SET body = zeroblob(4) WHERE base_offset = 40")
    (tmp_path / "new").mkdir()
    salvaged = rebuild(source, tmp_path / "new" / DATABASE_NAME, b"", NOW_MS)
    assert salvaged.stretches == [
        LostStretch("telemetry", 0, 40, 50),
        LostStretch("telemetry", 1, 40, 50),
    ]
    assert next_offsets(tmp_path / "new") == [100, 100]


def test_offsets_go_on_far_behind_an_end_that_is_not_known(tmp_path):
    source = write_small_log(tmp_path / "data") / DATABASE_NAME
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.execute(
            "UPDATE batches SET body = zeroblob(4) WHERE base_offset = 90 AND partition_number = 1"
        )
    (tmp_path / "new").mkdir()
    salvaged = rebuild(source, tmp_path / "new" / DATABASE_NAME, b"", NOW_MS)
    # The damaged batch says how far it went; whether more followed it, nothing says.
    assert salvaged.stretches == [
        LostStretch("telemetry", 0, 90, 100),
        LostStretch("telemetry", 0, 100, 100 + 2 * RECORDS_LOST_MAX, is_jump=True),
    ]
    # The last batch of partition 1 lies behind the damage; that of partition 0 is the damage.
    assert next_offsets(tmp_path / "new") == [100 + 2 * RECORDS_LOST_MAX, 100]


def next_offsets(data_dir):
    return verify_log(data_dir)["streams"]["telemetry"]["next_offsets"]


def test_what_a_removed_batch_held_is_named(tmp_path):
    source = write_small_log(tmp_path / "data") / DATABASE_NAME
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.execute(
            "UPDATE batches SET body = zeroblob(4) WHERE base_offset = 40 AND partition_number = 2"
        )
    salvaged = rebuild(source, tmp_path / "new.db", b"", NOW_MS)
    assert salvaged.damaged_batches == 1
    assert LostStretch("telemetry", 1, 40, 50) in salvaged.stretches
    assert "telemetry/1 40 to 49" in str(salvaged)


def test_streams_are_known_by_their_rows_when_their_copy_is_lost(tmp_path):
    source = write_small_log(tmp_path / "data") / DATABASE_NAME
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.execute("DELETE FROM meta WHERE name = 'layout'")
        connection.execute("DELETE FROM partitions WHERE number = 2")
    rebuild(source, tmp_path / "new.db", b"", NOW_MS)
    with closing(sqlite3.connect(tmp_path / "new.db")) as connection:
        rows = connection.execute("SELECT number, stream, partition FROM partitions").fetchall()
        floor = connection.execute("SELECT value FROM meta WHERE name = 'offset_floor'").fetchall()
    assert rows == [(1, "telemetry", 0), (2, "telemetry", 1)]
    assert floor == [(NOW_MS,)]


def test_batches_of_nobody_get_a_stream_of_their_own(tmp_path):
    source = write_small_log(tmp_path / "data") / DATABASE_NAME
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        for table in ("meta", "partitions", "streams"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours
    salvaged = rebuild(source, tmp_path / "new.db", b"", NOW_MS)
    assert salvaged.record_count == 200
    with closing(sqlite3.connect(tmp_path / "new.db")) as connection:
        names = {name for (name,) in connection.execute("SELECT stream FROM partitions")}
    assert names == {"recovered-1", "recovered-2"}
