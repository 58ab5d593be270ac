"""A rate with room for bursts, in whole numbers; the caller keeps the time."""

from __future__ import annotations

MS_PER_S = 1_000


class TokenBucket:
    """Earns `per_second` tokens a second and holds `burst` at most; it begins full.

    Spending may leave a debt: what has arrived is taken, and the next must wait until that is paid.
    So the rate over a long time is exact, however large the pieces are.
    """

    __slots__ = ("_burst", "_filled_at_ms", "_level", "_per_second")

    def __init__(self, per_second: int, burst: int, now_ms: int) -> None:
        self._per_second = per_second
        # In thousandths of a token, so that a millisecond's share is a whole number.
        self._burst = max(burst, 1) * MS_PER_S
        self._level = self._burst
        self._filled_at_ms = now_ms

    def _fill(self, now_ms: int) -> None:
        if now_ms > self._filled_at_ms:
            earned = (now_ms - self._filled_at_ms) * self._per_second
            self._level = min(self._burst, self._level + earned)
            self._filled_at_ms = now_ms

    def has(self, amount: int, now_ms: int) -> bool:
        """Whether so many tokens are there."""
        self._fill(now_ms)
        return self._level >= amount * MS_PER_S

    def spend(self, amount: int, now_ms: int) -> None:
        """Take so many tokens, whether they are there or not."""
        self._fill(now_ms)
        self._level -= amount * MS_PER_S

    def wait_ms(self, now_ms: int) -> int:
        """How long until no debt is left, rounded up."""
        self._fill(now_ms)
        return max(0, -(self._level // self._per_second))

    def is_full(self, now_ms: int) -> bool:
        """Whether it has forgotten everything that was spent."""
        self._fill(now_ms)
        return self._level == self._burst
