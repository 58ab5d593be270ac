"""The clock that a device believes in: it is a little off, it drifts, and sometimes it jumps."""

from __future__ import annotations

from dataclasses import dataclass

from firmware_sim.chance import derive_key, draw_unit

PARTS = 1_000_000


@dataclass(frozen=True, slots=True)
class TimepieceSpec:
    """How wrong the clocks of a kind are: up to ± each of these, different for each device."""

    drift_ppm: float = 0.0
    """How far it runs away, in parts per million; a cheap crystal has 20 to 100."""
    error_ms: int = 0
    """How far it is off at the start."""


TRUE_TIME = TimepieceSpec()


class Timepiece:
    """One device's clock."""

    def __init__(self, spec: TimepieceSpec, key: int, start_ms: int) -> None:
        self._start_ms = start_ms
        self._drift_ppm = spec.drift_ppm * _draw_sign(key, "drift")
        self._error_ms = int(spec.error_ms * _draw_sign(key, "error"))
        self._jump_ms = 0
        self._jumped_until_ms = start_ms

    def jump(self, by_ms: int, until_ms: int) -> None:
        """Be off by `by_ms` more until somebody sets the clock right, at `until_ms`."""
        self._jump_ms = by_ms
        self._jumped_until_ms = until_ms

    def read(self, true_ms: int) -> int:
        """What the clock shows at a moment; never below the epoch."""
        drift_ms = int((true_ms - self._start_ms) * self._drift_ppm / PARTS)
        jump_ms = self._jump_ms if true_ms < self._jumped_until_ms else 0
        return max(0, true_ms + self._error_ms + drift_ms + jump_ms)


def _draw_sign(key: int, purpose: str) -> float:
    """A number that is uniform in [-1, 1)."""
    return 2.0 * draw_unit(derive_key(key, "clock", purpose)) - 1.0
