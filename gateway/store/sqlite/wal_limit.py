"""How large the WAL may grow while a reader, of whichever program, keeps it from being begun anew.

A reader that holds on to one moment of the log (a backup, a `sqlite3` shell left open) makes SQLite
keep all that was written since. Nobody can be thrown out, so beyond a size records are refused as
on a full disk, and taken again when the reader has let go. Control data goes on.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import aiosqlite

from gateway.errors import StoreUnavailable
from gateway.store.sqlite.connections import empty_wal

LOG = logging.getLogger(__name__)
MIB = 1 << 20
COMMITS_A_LOOK = 16


class WalLimit:
    """Whether the WAL beside `path` has grown beyond `bytes_max`."""

    def __init__(self, path: Path, bytes_max: int) -> None:
        self._path = path
        self._wal = path.with_name(path.name + "-wal")
        self._commits = 0
        self._bytes_max = bytes_max
        self.is_exceeded = False

    @property
    def refusal(self) -> str:
        """Why records are refused, and what helps."""
        return (
            f"a reader holds on to {self._path}, and its WAL has grown to {self._bytes_max // MIB} "
            "MiB; end the reader, nothing was lost"
        )

    def look(self) -> None:
        """See how large it is, after every few commits: asking costs more than a record does."""
        self._commits = (self._commits + 1) % COMMITS_A_LOOK
        if self._commits:
            return
        try:
            size_bytes = self._wal.stat().st_size
        except OSError:
            return
        if size_bytes > self._bytes_max and not self.is_exceeded:
            self.is_exceeded = True
            LOG.error("records are refused: %s", self.refusal)

    async def seek_end(self, connection: aiosqlite.Connection) -> None:
        """Begin the WAL anew if it is too large and nobody holds on to it any more."""
        if not self.is_exceeded:
            return
        try:
            rows = await connection.execute_fetchall("PRAGMA wal_checkpoint(PASSIVE)")
            _, frames, moved = next(iter(rows))
            if frames != moved:
                return
            await empty_wal(connection, self._path)
        except (StoreUnavailable, sqlite3.Error):
            # Somebody reads again, or the disk refuses, as the next commit will find out.
            return
        self.is_exceeded = False
        LOG.warning("records are taken again: the WAL of %s was begun anew", self._path)
