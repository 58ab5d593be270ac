"""How fast images go out: to each device, and to all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

from gateway.devices.firmware.messages import ChunkWish

SECOND_MS = 1_000
BURST_MS = 1_000
AHEAD_MS_MAX = 600_000


@dataclass(frozen=True, slots=True)
class OtaOptions:
    """Limits of updates; a second's worth may be saved up.

    A device that has more than `waiting_max` requests open is not heard further.
    """

    bytes_per_s: int = 4 << 20
    device_bytes_per_s: int = 256 << 10
    waiting_max: int = 16
    waiting_total_max: int = 20_000
    devices_max: int = 100_000


class Waiting(NamedTuple):
    """A request and when it is its turn; `number` keeps the order of one device."""

    due_ms: int
    number: int
    device: str
    wish: ChunkWish


class ChunkPacing:
    """Requests for chunks, each served when its turn comes.

    Each rate is the time at which everything promised so far will have been sent.
    """

    def __init__(self, options: OtaOptions) -> None:
        self._options = options
        self._heap: list[Waiting] = []
        self._open_by_device: dict[str, int] = {}
        self._sent_by_ms: dict[str, float] = {}
        self._all_sent_by_ms = 0.0
        self._number = 0
        self.dropped = 0

    def due_ms(self) -> int | None:
        """When the next request is to be served; None when there is none."""
        return self._heap[0].due_ms if self._heap else None

    def add(self, device: str, wish: ChunkWish, now_ms: int) -> None:
        """Take a request, unless too many are open."""
        options = self._options
        is_open = self._open_by_device.get(device, 0)
        if is_open >= options.waiting_max or len(self._heap) >= options.waiting_total_max:
            self.dropped += 1
            return
        earliest_ms = now_ms - BURST_MS
        own_ms = _from(earliest_ms, self._sent_by_ms.get(device, 0))
        all_ms = _from(earliest_ms, self._all_sent_by_ms)
        due_ms = max(own_ms, all_ms, now_ms)
        self._note(device, own_ms + wish.size_bytes * SECOND_MS / options.device_bytes_per_s)
        self._all_sent_by_ms = all_ms + wish.size_bytes * SECOND_MS / options.bytes_per_s
        self._number += 1
        self._open_by_device[device] = is_open + 1
        heappush(self._heap, Waiting(int(due_ms), self._number, device, wish))

    def _note(self, device: str, sent_by_ms: float) -> None:
        if len(self._sent_by_ms) >= self._options.devices_max and device not in self._sent_by_ms:
            del self._sent_by_ms[next(iter(self._sent_by_ms))]
        self._sent_by_ms[device] = sent_by_ms

    def take(self, now_ms: int, at_most: int) -> list[tuple[str, ChunkWish]]:
        """The requests whose turn has come, in order."""
        found: list[tuple[str, ChunkWish]] = []
        while self._heap and self._heap[0].due_ms <= now_ms and len(found) < at_most:
            waiting = heappop(self._heap)
            left = self._open_by_device[waiting.device] - 1
            if left:
                self._open_by_device[waiting.device] = left
            else:
                del self._open_by_device[waiting.device]
            found.append((waiting.device, waiting.wish))
        return found


def _from(earliest_ms: int, sent_by_ms: float) -> float:
    """When what was promised will have been sent; a clock that was set back holds nothing up."""
    is_possible = sent_by_ms <= earliest_ms + AHEAD_MS_MAX
    return max(sent_by_ms, earliest_ms) if is_possible else earliest_ms
