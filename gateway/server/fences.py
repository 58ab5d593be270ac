"""What waits until all that was submitted before it is in the log."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count


class Fences:
    """Calls to make once the submissions up to a number are settled: durable, or refused.

    Submissions are numbered from 1 in the order in which they were taken, and settle in it.
    """

    def __init__(self) -> None:
        self._settled = 0
        self._is_open = False
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []
        self._turns = count()

    def settle(self, number: int) -> None:
        """Note that the submissions up to `number` are settled, and call who waited for that."""
        self._is_open = False
        self._settled = max(self._settled, number)
        while self._waiting and self._waiting[0][0] <= self._settled:
            heappop(self._waiting)[-1]()

    def holds(self, number: int, then: Callable[[], None]) -> bool:
        """Whether the submissions up to `number` are not settled yet; then `then` is called later.

        Nobody is held while the fences are open.
        """
        if number <= self._settled or self._is_open:
            return False
        heappush(self._waiting, (number, next(self._turns), then))
        return True

    def open(self) -> None:
        """Let everyone go on until something settles: the log takes nothing now."""
        self._is_open = True
        waiting, self._waiting = self._waiting, []
        for _, _, then in sorted(waiting):
            then()
