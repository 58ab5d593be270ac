"""Who is told how a load goes: the process that started it, or the person at the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

READY, MEASURING, MEASURED = "ready", "measuring", "measured"


class Watcher(Protocol):
    """Hears of the two ends of the measured time, and of what happens between."""

    def measuring(self) -> None:
        """What counts begins now."""
        ...

    def show(self, values: Mapping[str, float]) -> None:
        """Where things stand, about once a second."""
        ...

    def measured(self) -> None:
        """What counts is over; the server's costs may be read before this returns."""
        ...
