"""Profile files that change while the gateway runs: checked, and taken over only as a whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from gateway.devices import ProfileBook
from gateway.errors import DocumentInvalid

LOG = logging.getLogger(__name__)
FILES_MAX = 10_000
Stamp = tuple[tuple[str, int, int], ...]


class ProfileFiles:
    """The files of the profiles at work, with what lies beside them: schemas and descriptors."""

    def __init__(
        self,
        path: Path,
        load: Callable[[], ProfileBook],
        book: ProfileBook,
        interval_ms: int,
        on_invalid: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Keep `book` as the files say; with an interval of 0 they are read when `touch` says so.

        `on_invalid` hears what is wrong with files that aren't taken over.
        """
        self._path = path
        self._load = load
        self._book = book
        self._interval_s = interval_ms / 1_000 if interval_ms else None
        self._on_invalid = on_invalid
        self._touched = asyncio.Event()
        self._stamp = stamp_of(path)

    def touch(self) -> None:
        """Have the files read again, whether or not they have changed."""
        self._touched.set()

    async def run(self) -> None:
        """Look at the files from time to time, until cancelled."""
        while True:
            try:
                await asyncio.wait_for(self._touched.wait(), self._interval_s)
            except TimeoutError:
                await self.look()
                continue
            self._touched.clear()
            await self.reload()

    async def look(self) -> None:
        """Read the files again if they have changed."""
        if await asyncio.to_thread(stamp_of, self._path) != self._stamp:
            await self.reload()

    async def reload(self) -> None:
        """Read the files; profiles that are right are taken over, what is wrong is told."""
        self._stamp = await asyncio.to_thread(stamp_of, self._path)
        try:
            found = await asyncio.to_thread(self._load)
        except DocumentInvalid as error:
            self._refuse(error)
            return
        before = {one.name: one for one in self._book.profiles}
        after = {one.name: one for one in found.profiles}
        self._book.replace(found)
        changed = [name for name in after if name in before and after[name] != before[name]]
        LOG.info(
            "profiles reloaded: %d new, %d changed, %d gone, %d in all",
            len(after.keys() - before.keys()),
            len(changed),
            len(before.keys() - after.keys()),
            len(after),
        )

    def _refuse(self, error: DocumentInvalid) -> None:
        for complaint in error.complaints:
            LOG.error("%s", complaint)
        LOG.error("the profiles stay as they were")
        first, more = error.complaints[0], len(error.complaints) - 1
        self._on_invalid(f"{first}" + (f", and {more} more" if more else ""))


def stamp_of(path: Path) -> Stamp:
    """What changes when a file among the profiles is written, added or removed."""
    found = []
    for one in sorted(path.rglob("*"))[:FILES_MAX] if path.is_dir() else [path]:
        try:
            status = one.stat()
        except OSError:
            continue
        if one.is_file():
            found.append((str(one), status.st_mtime_ns, status.st_size))
    return tuple(found)
