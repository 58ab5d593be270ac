"""When things are due, each at one time that may change."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

Name = tuple[str, str]
SPARE = 1_000


class DueTimes:
    """Names with the time at which each is due, the earliest first."""

    def __init__(self) -> None:
        self._due_ms: dict[Name, int] = {}
        self._heap: list[tuple[int, Name]] = []

    def __len__(self) -> int:
        return len(self._due_ms)

    def set(self, name: Name, due_ms: int) -> None:
        """Let a name be due then, and at no other time."""
        self._due_ms[name] = due_ms
        heappush(self._heap, (due_ms, name))
        # Times that don't count any more are stepped over; they must not pile up.
        if len(self._heap) > 2 * len(self._due_ms) + SPARE:
            self._heap = [(due_ms, name) for name, due_ms in self._due_ms.items()]
            heapify(self._heap)

    def forget(self, name: Name) -> None:
        """A name is due no more."""
        self._due_ms.pop(name, None)

    def next_ms(self) -> int | None:
        """When the first name is due; None when there is none."""
        while self._heap and self._due_ms.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now_ms: int) -> Iterable[Name]:
        """Forget the names that are due, and return them in their order."""
        taken = []
        while (due_ms := self.next_ms()) is not None and due_ms <= now_ms:
            _, name = heappop(self._heap)
            del self._due_ms[name]
            taken.append(name)
        return taken
