"""The disk shim itself: each fault does what it says, to a small program that writes and syncs."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from tests.harness.faulty_disk import NO_COMPILER, FaultyDisk, built_shim

pytestmark = pytest.mark.skipif(built_shim() is None, reason=NO_COMPILER)

WRITER = """
import os, sys
fd = os.open(sys.argv[1] + "/file", os.O_RDWR | os.O_CREAT)
for part in sys.argv[2:]:
    try:
        if part == "sync": os.fsync(fd)
        elif part == "datasync": os.fdatasync(fd)
        elif part.startswith("@"):
            offset, _, text = part[1:].partition(":")
            os.pwrite(fd, text.encode(), int(offset))
        else: os.write(fd, part.encode())
        print("ok", end=" ")
    except OSError as error:
        print(os.strerror(error.errno).split()[0], end=" ")
    sys.stdout.flush()
"""


@pytest.fixture
def disk(tmp_path):
    watched = tmp_path / "watched"
    watched.mkdir()
    disk = FaultyDisk(watched, tmp_path)
    yield disk
    disk.close()


def write(disk, *parts, directory=None):
    command = [sys.executable, "-c", WRITER, str(directory or disk.watched), *parts]
    environment = {**os.environ, **disk.environment}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return done.returncode, done.stdout.split()


def content(disk):
    return (disk.watched / "file").read_bytes()


def test_a_healthy_disk_only_counts(disk):
    assert write(disk, "ab", "sync", "@1:xy", "datasync") == (0, ["ok"] * 4)
    assert content(disk) == b"axy"
    assert disk.counts == (2, 2, 0, 0)


def test_a_slow_sync_takes_its_time(disk):
    disk.set(fsync_delay_ms=50)
    started = time.monotonic()
    write(disk, "ab", "sync", "sync", "datasync")
    assert time.monotonic() - started >= 0.15


def test_writes_and_syncs_fail_with_the_error_that_was_set(disk):
    disk.set(fsync_errno="EIO")
    assert write(disk, "ab", "sync")[1] == ["ok", "Input/output"]
    disk.set(write_errno="ENOSPC")
    assert write(disk, "cd", "@0:cd", "sync")[1] == ["No", "No", "ok"]
    assert content(disk) == b"ab"
    assert disk.counts == (3, 2, 2, 1)


def test_files_elsewhere_are_left_alone(disk, tmp_path):
    disk.set(write_errno="EIO", fsync_errno="EIO")
    elsewhere = tmp_path / "watched-not"
    elsewhere.mkdir()
    assert write(disk, "ab", "sync", directory=elsewhere)[1] == ["ok", "ok"]


def test_the_process_dies_in_place_of_its_nth_write(disk):
    disk.set(kill_at_write=2)
    assert write(disk, "ab", "cd", "ef") == (-signal.SIGKILL, ["ok"])
    assert content(disk) == b"ab"


def test_a_torn_write_leaves_its_first_half(disk):
    disk.set(kill_at_write=2, torn=1)
    assert write(disk, "ab", "@2:cdef")[0] == -signal.SIGKILL
    assert content(disk) == b"abcd"


def test_the_process_dies_before_or_after_its_nth_sync(disk):
    disk.set(kill_at_fsync=1)
    assert write(disk, "ab", "sync", "cd") == (-signal.SIGKILL, ["ok"])
    disk.set(kill_after_fsync=disk.counts.syncs + 2)
    assert write(disk, "sync", "ef", "sync", "gh") == (-signal.SIGKILL, ["ok", "ok"])
    assert content(disk) == b"ef"


def test_a_power_cut_takes_back_what_was_not_synced(disk):
    disk.set(kill_at_write=4, lose_unsynced=1)
    assert write(disk, "abcdef", "sync", "@1:XY", "@5:Z123", "@0:no")[0] == -signal.SIGKILL
    assert content(disk) == b"abcdef"


def test_a_failed_sync_keeps_nothing(disk):
    disk.set(fsync_errno="EIO", kill_at_write=2, lose_unsynced=1)
    assert write(disk, "ab", "sync", "cd")[0] == -signal.SIGKILL
    assert content(disk) == b""


SQLITE_WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1] + "/log.db", isolation_level=None)
connection.execute(f"PRAGMA synchronous={sys.argv[2]}")
for _ in range(50):
    n = connection.execute("INSERT INTO t DEFAULT VALUES RETURNING n").fetchone()[0]
    print(n, flush=True)
"""


@pytest.mark.parametrize(("synchronous", "is_safe"), [("FULL", True), ("NORMAL", False)])
def test_a_power_cut_tells_a_commit_with_sync_from_one_without(disk, synchronous, is_safe):
    connection = sqlite3.connect(disk.watched / "log.db")
    connection.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t(n INTEGER PRIMARY KEY)")
    connection.close()
    disk.set(kill_at_write=60, lose_unsynced=1)
    command = [sys.executable, "-c", SQLITE_WRITER, str(disk.watched), synchronous]
    environment = {**os.environ, **disk.environment}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    acknowledged = [int(line) for line in done.stdout.split()]
    connection = sqlite3.connect(disk.watched / "log.db")
    stored = {row[0] for row in connection.execute("SELECT n FROM t")}
    connection.close()
    assert acknowledged
    assert (set(acknowledged) <= stored) is is_safe
