import sqlite3
from contextlib import closing

import pytest

from gateway.store.sqlite.wal import FRAME_BYTES, HEADER_BYTES, may_overlook, read_index, read_wal

COMMITS = 5


@pytest.fixture
def files(tmp_path):
    """The files of a database with five commits in its WAL, as a kill leaves them."""
    path = tmp_path / "live" / "db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (body)")
        for number in range(COMMITS - 1):
            connection.execute("INSERT INTO t VALUES (?)", (bytes([number]) * 9000,))
        return {own.name: own.read_bytes() for own in path.parent.iterdir()}


def put(tmp_path, files, **changed):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for suffix, content in changed.items():
        (tmp_path / f"db-{suffix}").write_bytes(content)
    return tmp_path / "db"


def flip(content, at):
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_a_whole_wal_is_read_and_nothing_overlooked(tmp_path, files):
    path = put(tmp_path, files)
    wal = read_wal(path, read_index(path))
    assert sum(frame.is_commit for frame in wal.frames) == COMMITS
    assert (wal.lost_count, wal.is_overlooked) == (0, False)


def test_a_changed_byte_costs_one_frame(tmp_path, files):
    frame_count = (len(files["db-wal"]) - HEADER_BYTES) // FRAME_BYTES
    for number in range(frame_count):
        at = HEADER_BYTES + number * FRAME_BYTES + 100
        path = put(tmp_path, files, wal=flip(files["db-wal"], at))
        wal = read_wal(path, read_index(path))
        assert wal.is_overlooked
        assert [frame.is_whole for frame in wal.frames].count(False) == 1
        assert len(wal.frames) == frame_count


def test_a_changed_header_costs_nothing(tmp_path, files):
    for at in range(HEADER_BYTES):
        path = put(tmp_path, files, wal=flip(files["db-wal"], at))
        wal = read_wal(path, read_index(path))
        assert wal.is_overlooked, at
        assert sum(frame.is_commit for frame in wal.frames) == COMMITS


def test_a_torn_end_was_never_acknowledged(tmp_path, files):
    path = put(tmp_path, files, wal=files["db-wal"][:-100], shm=b"")
    wal = read_wal(path, read_index(path))
    assert not wal.is_overlooked
    assert sum(frame.is_commit for frame in wal.frames) == COMMITS - 1


def test_an_index_that_notes_more_frames_says_that_they_are_missing(tmp_path, files):
    path = put(tmp_path, files, wal=files["db-wal"][:-FRAME_BYTES])
    wal = read_wal(path, read_index(path))
    assert wal.is_overlooked
    assert wal.lost_count == 1


def test_the_cheap_look_agrees(tmp_path, files):
    for at in (None, 10, HEADER_BYTES + 100, len(files["db-wal"]) - 5):
        content = files["db-wal"] if at is None else flip(files["db-wal"], at)
        path = put(tmp_path, files, wal=content)
        index = read_index(path)
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            assert may_overlook(path, index) is (at is not None)


def test_a_commit_of_an_earlier_round_ends_no_transaction_of_this_one(tmp_path, files):
    """A power cut within a transaction of three frames, of which the last alone was written."""
    wal = files["db-wal"]
    salts = wal[16:24]
    first = bytes((own + 1) % 256 for own in salts)
    stale = (7).to_bytes(4, "big") * 2 + first + bytes(8 + 4096)
    torn = (9).to_bytes(4, "big") * 2 + salts + bytes(8 + 4096)
    path = put(tmp_path, files, wal=wal + stale + torn, shm=b"")
    content = read_wal(path, b"")
    assert not content.is_overlooked
    assert content.lost_count == 0
    assert sum(frame.is_commit for frame in content.frames) == COMMITS


@pytest.mark.parametrize("number", [0, 1 << 31])
def test_a_broken_page_number_leads_nowhere(tmp_path, files, number):
    wal = bytearray(files["db-wal"])
    wal[HEADER_BYTES : HEADER_BYTES + 4] = number.to_bytes(4, "big")
    path = put(tmp_path, files, wal=bytes(wal))
    found = read_wal(path, read_index(path))
    assert found.is_overlooked
    assert found.frames[0].page_number == number
    assert 0 < min(found.overlay) <= max(found.overlay) < 1000
