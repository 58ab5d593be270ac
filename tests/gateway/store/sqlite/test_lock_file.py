import os
import subprocess
import sys

import pytest

from gateway.clock import boot_id
from gateway.errors import StoreInUse, StoreNotWritable
from gateway.store.sqlite.lock_file import DirectoryLock

HOLDER = """
import sys
from pathlib import Path
from gateway.store.sqlite.lock_file import DirectoryLock
lock = DirectoryLock.take(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_directory_is_made_with_its_parents(tmp_path):
    lock = DirectoryLock.take(tmp_path / "a" / "b")
    note = (tmp_path / "a" / "b" / "penstock.lock").read_text()
    assert note == f"{os.getpid()}\n{boot_id()}\n"
    lock.release()
    lock.release()


def test_another_process_is_told_who_holds_it(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(StoreInUse, match=f"process id {holder.pid};"):
            DirectoryLock.take(tmp_path)
        holder.kill()
    DirectoryLock.take(tmp_path).release()


def test_a_released_directory_can_be_locked_again(tmp_path):
    lock = DirectoryLock.take(tmp_path)
    with pytest.raises(StoreInUse):
        DirectoryLock.take(tmp_path)
    lock.release()
    DirectoryLock.take(tmp_path).release()


def test_a_path_that_can_not_be_a_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreNotWritable, match="can't write the data directory"):
            DirectoryLock.take(path)


def test_a_lock_stands_though_its_note_can_not_be_written(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", refuse)
    lock = DirectoryLock.take(tmp_path)
    with pytest.raises(StoreInUse, match="process id unknown"):
        DirectoryLock.take(tmp_path)
    lock.release()


def test_a_lock_knows_whether_the_machine_was_off_since(tmp_path):
    lock = DirectoryLock.take(tmp_path)
    assert lock.is_first_since_boot
    lock.release()
    lock = DirectoryLock.take(tmp_path)
    assert not lock.is_first_since_boot
    lock.release()
    (tmp_path / "penstock.lock").write_text("17\nanother-run-of-the-machine\n")
    lock = DirectoryLock.take(tmp_path)
    assert lock.is_first_since_boot
    lock.release()
