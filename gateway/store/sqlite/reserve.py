"""Room on the disk that is kept free for control data: a file of nothing, given up when it fills.

When it is given up, and what may use the room then, is `gateway.store.sqlite.committer`'s affair.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

RESERVE_NAME = "penstock.reserve"


class DiskReserve:
    """A file that holds `size_bytes` of the file system; 0 keeps no reserve."""

    def __init__(self, directory: Path, size_bytes: int) -> None:
        self._path = directory / RESERVE_NAME
        self._size_bytes = size_bytes

    @property
    def is_held(self) -> bool:
        """Whether the room is there for the day it is needed."""
        try:
            return self._path.stat().st_size >= self._size_bytes
        except OSError:
            return self._size_bytes == 0

    def take(self) -> bool:
        """Take hold of the room, if there is as much again beside it; return whether it is held."""
        if self.is_held:
            return True
        try:
            if free_bytes(self._path.parent) < 2 * self._size_bytes:
                return False
            with self._path.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, self._size_bytes)
        except OSError:
            self.give_up()
            return False
        return True

    def give_up(self) -> bool:
        """Let control data have the room; return whether there was any."""
        with contextlib.suppress(OSError):
            self._path.unlink()
            return True
        return False


def free_bytes(directory: Path) -> int:
    """What this process may still write to the file system of `directory`."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize
