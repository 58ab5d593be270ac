"""How often a rule may tell of its alarms: `cooldown` and `limit` (RULES L11), by arrival time."""

from __future__ import annotations

from collections import deque

from gateway.rules.spec import SuppressSpec
from gateway.rules.values import Value


class Throttle:
    """What one rule has told lately: per token for `cooldown`, altogether for `limit`."""

    __slots__ = ("cooldown_ms", "cooled", "limit_count", "limit_window_ms", "stamps", "tokens_max")

    def __init__(self, spec: SuppressSpec, tokens_max: int) -> None:
        """Take the limits; of so many tokens it is remembered when they were last told."""
        self.cooldown_ms = spec.cooldown_ms
        self.limit_count = spec.limit_count
        self.limit_window_ms = spec.limit_window_ms
        self.tokens_max = tokens_max
        self.cooled: dict[str, int] = {}
        """When each token was last told, oldest first."""
        self.stamps: deque[int] = deque()

    def admit(self, token: str | None, now_ms: int, *, is_extra: bool = False) -> str:
        """Count a notification in, or say what holds it back; times never go back.

        Only what has a token must keep the cooldown. What `is_extra` is told within another's
        message, and doesn't count for the limit.
        """
        if token is not None and self._is_cooling(token, now_ms):
            return "cooldown"
        if not is_extra and self._is_over_limit(now_ms):
            return "limit"
        if token is not None and self.cooldown_ms:
            self._forget(now_ms)
            self.cooled.pop(token, None)
            self.cooled[token] = now_ms
        if self.limit_count is not None and not is_extra:
            self.stamps.append(now_ms)
        return ""

    def _is_cooling(self, token: str, now_ms: int) -> bool:
        told_ms = self.cooled.get(token)
        return told_ms is not None and now_ms < told_ms + self.cooldown_ms

    def _is_over_limit(self, now_ms: int) -> bool:
        if self.limit_count is None:
            return False
        stamps = self.stamps
        while stamps and stamps[0] <= now_ms - self.limit_window_ms:
            stamps.popleft()
        return len(stamps) >= self.limit_count

    def _forget(self, now_ms: int) -> None:
        cooled = self.cooled
        while cooled:
            oldest = next(iter(cooled))
            is_over = cooled[oldest] + self.cooldown_ms <= now_ms
            if not is_over and len(cooled) < self.tokens_max:
                return
            del cooled[oldest]

    def pack(self) -> list[Value]:
        """What it remembers, as plain values."""
        return [list(self.cooled.items()), list(self.stamps)]

    def unpack(self, packed: list[Value]) -> None:
        """Become what `pack` was called on, as far as there is room."""
        cooled, stamps = packed
        self.cooled = dict(cooled[-self.tokens_max :])
        self.stamps = deque(stamps)
