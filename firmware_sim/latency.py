"""How long acknowledgements take, as counts a millisecond: bounded, and exact up to its end."""

from __future__ import annotations

from collections.abc import Iterable

LATENCY_MS_MAX = 60_000


class LatencyTally:
    """Counts of latencies in whole milliseconds; longer than `LATENCY_MS_MAX` counts as that."""

    __slots__ = ("_counts", "count", "most_ms")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        self.most_ms = 0

    def add(self, latency_ms: int) -> None:
        """Count one; a negative one (a clock that stepped back) is zero."""
        bounded_ms = min(LATENCY_MS_MAX, max(0, latency_ms))
        self._counts[bounded_ms] = self._counts.get(bounded_ms, 0) + 1
        self.count += 1
        self.most_ms = max(self.most_ms, bounded_ms)

    def percentiles_ms(self, ratios: Iterable[float]) -> list[int]:
        """For each ratio the least latency that at least that part did not exceed; 0 when empty."""
        in_order = sorted(self._counts.items())
        return [_percentile(in_order, ratio * self.count) for ratio in ratios]


def _percentile(in_order: list[tuple[int, int]], wanted: float) -> int:
    passed = 0
    for latency_ms, count in in_order:
        passed += count
        if passed >= wanted:
            return latency_ms
    return 0
