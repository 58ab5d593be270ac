"""How unlike its history a number is: the score that every method gives, and where it counts."""

from __future__ import annotations

import math
from typing import Literal, Protocol

from gateway.rules.anomalies.baselines import Normal
from gateway.rules.values import Value

SCORE_MAX = 1_000_000.0
VALUE_MAX = 1e150
"""Values are taken for no larger, so that their squares can be added up."""

ROUNDING = 1e-9
"""What differs by so little of its size differs by rounding."""

Direction = Literal["both", "up", "down"]


class Method(Protocol):
    """One method along one key. It knows `history` numbers at most."""

    def take(self, time_ms: int, value: float) -> float | None:
        """Judge a value by those before it, then learn it; None before the warm-up is over.

        Upwards the score is positive, downwards negative. Times never go back, and values lie
        within `VALUE_MAX`.
        """
        ...

    @property
    def taken(self) -> int:
        """How many numbers it has ever learned."""
        ...

    def numbers(self) -> list[float]:
        """The numbers that it knows, oldest first; they are stored apart from the rest."""
        ...

    def pack(self) -> list[Value]:
        """What else it remembers, as plain values."""
        ...

    def unpack(self, packed: list[Value], numbers: list[float], taken: int) -> None:
        """Become what `pack` was called on."""
        ...


def deviation_of(value: float, normal: Normal) -> float:
    """How many spreads a value lies from the centre; bounded, where there is hardly a spread."""
    distance = value - normal.centre
    least = ROUNDING * max(abs(normal.centre), abs(value))
    if abs(distance) <= least:
        return 0.0
    spread = max(normal.spread, least)
    return bounded(distance / spread) if spread else bounded(distance * SCORE_MAX)


def bounded(score: float) -> float:
    """The score, at most `SCORE_MAX` either way; 0 for what is no number."""
    if math.isnan(score):
        return 0.0
    return max(-SCORE_MAX, min(score, SCORE_MAX))


def towards(score: float, direction: Direction) -> float:
    """The score without its sign, 0 where it points the other way."""
    if direction == "both":
        return abs(score)
    return max(0.0, score if direction == "up" else -score)
