"""What readings show of thresholds that the twin sets."""

from __future__ import annotations

from collections.abc import MutableMapping

from firmware_sim.services.twin import Twin

Value = float | int | bool | str


class Crossings:
    """Compares the readings of one device with its twin's thresholds."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    def show(self, reading: MutableMapping[str, Value]) -> None:
        """Add to a reading which thresholds it crosses."""
        for threshold in self._twin.spec.thresholds:
            value, limit = reading[threshold.field], self._twin.in_force[threshold.name]
            if isinstance(value, int | float):
                reading[threshold.shows] = value > limit if threshold.is_above else value < limit
