"""The right to write a data directory: one process at a time, told apart by an exclusive file lock.

The kernel drops the lock when its holder dies, however it dies; the file itself stays.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from gateway.errors import StoreInUse, StoreNotWritable
from gateway.store.sqlite.schema import LOCK_NAME

DIRECTORY_MODE = 0o750
LOCK_MODE = 0o640


class DirectoryLock:
    """Holds a data directory from `take` until `release`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, data_dir: Path) -> DirectoryLock:
        """Create the directory if need be and lock it.

        Raises:
            StoreInUse: another process holds it; its id is in the message.
            StoreNotWritable: it can't be created or written.
        """
        try:
            create_directory(data_dir)
            descriptor = os.open(data_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT, LOCK_MODE)
        except OSError as error:
            raise StoreNotWritable(
                f"can't write the data directory {data_dir}: {error.strerror}; "
                "name a directory that this user may write"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreInUse(
                f"the data directory {data_dir} is in use by the gateway with process id {holder}; "
                "stop it, or name another directory"
            ) from error
        # The lock stands without its note, so a disk too full for five digits is no reason to stop.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Let others write the directory; once is enough, more does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def create_directory(data_dir: Path) -> None:
    """Create the directory and its parents so that they outlast a power cut."""
    missing = [path for path in (data_dir, *data_dir.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make a file's content durable, whoever has written it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
