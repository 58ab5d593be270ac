"""Drives the shim of faulty_disk.c: a disk that is slow, failing, full or cut off."""

from __future__ import annotations

import functools
import mmap
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("faulty_disk.c")
COUNTERS = struct.Struct("4Q")


class Counts(NamedTuple):
    """How often watched files were written and synced, and how often that failed."""

    writes: int
    syncs: int
    writes_failed: int
    syncs_failed: int


@functools.cache
def built_shim() -> Path | None:
    """Compile the shim, once a test run; None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or os.uname().sysname != "Linux":
        return None
    shim = Path(tempfile.mkdtemp(prefix="faulty-disk-")) / "faulty_disk.so"
    command = [compiler, "-std=gnu11", "-O2", "-fPIC", "-shared", "-o", str(shim), str(SOURCE)]
    subprocess.run([*command, "-ldl", "-lpthread"], check=True, capture_output=True)
    return shim


NO_COMPILER = "the disk shim needs Linux and a C compiler (cc)"


class FaultyDisk:
    """The faults of the files below `watched`, for the process that gets `environment`.

    Settings, all absent at first, stay until the next `set` or `heal`:

    - `fsync_delay_ms`: each sync sleeps before it begins;
    - `fsync_errno`, `write_errno`: each sync, or each write, fails with EIO, ENOSPC or EROFS;
    - `kill_at_write`, `kill_at_fsync`: the process kills itself in place of the n-th write or sync
      (of all since the disk was made: add to `counts`), and of every later one;
      `kill_after_fsync`: just after the n-th sync, before the caller learns of it;
    - `lose_unsynced=1`: before that it takes back what was not synced, as a power cut does;
    - `torn=1`: before that it writes the first half of the n-th write.
    """

    def __init__(self, watched: Path, control_directory: Path) -> None:
        shim = built_shim()
        if shim is None:
            raise RuntimeError(NO_COMPILER)
        self.watched = watched.resolve()
        self._control = control_directory / "faults"
        self._control.write_text("")
        counters = control_directory / "counters"
        counters.write_bytes(bytes(mmap.PAGESIZE))
        with counters.open("r+b") as file:
            self._counters = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": str(shim),
            "FAULTY_DISK_DIRECTORY": str(self.watched),
            "FAULTY_DISK_CONTROL": str(self._control),
            "FAULTY_DISK_COUNTERS": str(counters),
        }

    @property
    def counts(self) -> Counts:
        return Counts(*COUNTERS.unpack_from(self._counters))

    def set(self, **faults: int | str) -> None:
        """Replace the faults by these, at once and for processes that run already."""
        fresh = self._control.with_suffix(".new")
        fresh.write_text("".join(f"{name}={value}\n" for name, value in faults.items()))
        fresh.replace(self._control)

    def heal(self) -> None:
        """Let the disk work again."""
        self.set()

    def close(self) -> None:
        self._counters.close()
