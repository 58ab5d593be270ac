"""When connections end that came by a token: who is due by now, soonest first."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)
SPARE = 64


class TokenEnds(Generic[T]):
    """Keeps the end of each connection, by wall clock: a token says no other time.

    So if the clock was late, an end may come as soon as it has been set.
    """

    def __init__(self) -> None:
        self._end_by_connection: dict[T, int] = {}
        self._heap: list[tuple[int, int, T]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._end_by_connection)

    def put(self, connection: T, end_ms: int) -> None:
        """Let a connection end then; it has no end yet."""
        self._end_by_connection[connection] = end_ms
        self._count += 1
        heapq.heappush(self._heap, (end_ms, self._count, connection))

    def discard(self, connection: T) -> None:
        """A connection is over."""
        self._end_by_connection.pop(connection, None)
        if len(self._heap) > 2 * len(self._end_by_connection) + SPARE:
            live = self._end_by_connection
            self._heap = [one for one in self._heap if live.get(one[2]) == one[0]]
            heapq.heapify(self._heap)

    def due(self, now_ms: int) -> list[T]:
        """Those whose time is over, and who are forgotten with that."""
        found = []
        while self._heap and self._heap[0][0] <= now_ms:
            end_ms, _, connection = heapq.heappop(self._heap)
            if self._end_by_connection.get(connection) == end_ms:
                del self._end_by_connection[connection]
                found.append(connection)
        return found
