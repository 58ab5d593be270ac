"""Lets a few subscribers read the log's history at a time; the others wait for a seat, in order.

Thousands of sessions that come back at once each have a log to read. What one of them reads takes
milliseconds of the event loop; if all read at once, a turn of the loop is seconds, nobody is
answered in time, and those who give up come back to read it all again.
"""

from __future__ import annotations

import asyncio

SEATS = 2


class Seats:
    """So many may read at a time."""

    def __init__(self, count: int = SEATS) -> None:
        self._free = asyncio.Semaphore(count)

    def seat(self) -> Seat:
        """A place for one reader, who has not sat down yet."""
        return Seat(self._free)


class Seat:
    """One reader's claim to a seat; only its reader takes it, anybody may give it back."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free = free
        self.is_taken = False

    async def take(self) -> None:
        """Sit down, behind those who wait already; at once if it is taken."""
        if not self.is_taken:
            await self._free.acquire()
            self.is_taken = True

    def give_back(self) -> None:
        """Let the next one sit down; nothing happens if it is not taken."""
        if self.is_taken:
            self.is_taken = False
            self._free.release()
