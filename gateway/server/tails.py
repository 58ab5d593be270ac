"""Which partitions are handed out, and every reader of them that is under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.server.subscriber import Slot
from gateway.store import StreamStore, Tail


class Tails:
    """The partitions whose records subscribers get; there may come more."""

    def __init__(self, store: StreamStore, slots: Sequence[Slot]) -> None:
        self.slots = list(slots)
        self.streams = list(dict.fromkeys(stream for stream, _ in slots))
        self.starts: dict[Slot, int] = {}
        """Where partitions begin that have come since the start."""
        self._store = store
        self._open: set[Tail] = set()

    def open(self, positions: Mapping[Slot, int]) -> Tail:
        """Read all streams from these positions on; `close` it."""
        tail = self._store.tail(self.streams, dict(positions))
        self._open.add(tail)
        return tail

    def close(self, tail: Tail) -> None:
        """Let go of the log."""
        self._open.discard(tail)
        tail.close()

    async def extend(self, slots: Sequence[Slot]) -> dict[Slot, int]:
        """Take in partitions that have come since the start; returns where the new ones begin.

        Whoever reads is interrupted, to go on with all streams from where it is.
        """
        new = [slot for slot in slots if slot not in self.slots]
        found = {slot: (await self._store.bounds(*slot)).log_start_offset for slot in new}
        if found:
            self.starts |= found
            self.slots += found
            self.streams = list(dict.fromkeys(stream for stream, _ in self.slots))
            for tail in list(self._open):
                tail.close()
        return found
