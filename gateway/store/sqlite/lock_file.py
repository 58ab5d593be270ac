"""The right to write a data directory: one process at a time, told apart by an exclusive file lock.

The kernel drops the lock when its holder dies, however it dies; the file itself stays.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from gateway.clock import boot_id
from gateway.errors import StoreInUse, StoreNotWritable
from gateway.store.sqlite.schema import LOCK_NAME
from gateway.store.syncing import create_directory

LOCK_MODE = 0o640
NOTE_BYTES_MAX = 128


class DirectoryLock:
    """Holds a data directory from `take` until `release`.

    `is_first_since_boot` says that the machine has been off since the directory was last held, or
    may have been: what was never synced may be gone then, and what the memory held is.
    """

    def __init__(self, descriptor: int, *, is_first_since_boot: bool = True) -> None:
        self._descriptor = descriptor
        self.is_first_since_boot = is_first_since_boot

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
            holder, _ = read_note(descriptor)
            os.close(descriptor)
            raise StoreInUse(
                f"the data directory {data_dir} is in use by the gateway with process id "
                f"{holder or 'unknown'}; "
                "stop it, or name another directory"
            ) from error
        _, earlier_boot = read_note(descriptor)
        boot = boot_id()
        # The lock stands without its note, so a disk too full for five digits is no reason to stop.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n{boot}\n".encode(), 0)
        return cls(descriptor, is_first_since_boot=not boot or earlier_boot != boot)

    def release(self) -> None:
        """Let others write the directory; once is enough, more does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_note(descriptor: int) -> tuple[str, str]:
    """The process that holds or held the lock, and the run of the machine that it was in."""
    lines = os.pread(descriptor, NOTE_BYTES_MAX, 0).decode(errors="replace").split("\n")
    return lines[0].strip(), lines[1].strip() if len(lines) > 1 else ""
