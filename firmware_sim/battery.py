"""The battery of a device: it drains with time and with every message, and then it is charged."""

from __future__ import annotations

from dataclasses import dataclass

from firmware_sim.chance import derive_key, draw_unit

PERCENT = 100
FIELD = "battery"


@dataclass(frozen=True, slots=True)
class BatterySpec:
    """How long a full battery lasts without a message, what each costs, how long charging takes."""

    lasts_ms: int
    charge_ms: int
    per_message_ms: int = 0
    """By how much every message shortens the life of a charge."""


class Battery:
    """One battery; at the start it is between half full and full."""

    def __init__(self, spec: BatterySpec, key: int, start_ms: int) -> None:
        self.spec = spec
        drained = 0.5 * draw_unit(derive_key(key, "battery"))
        self.empty_at_ms = start_ms + max(1, int(spec.lasts_ms * (1.0 - drained)))
        """When it is empty, if nothing is sent until then."""

    def spend(self) -> None:
        """Pay for one message."""
        self.empty_at_ms -= self.spec.per_message_ms

    def charge(self, empty_ms: int) -> int:
        """Charge it, empty since `empty_ms`; returns when it is full and the device boots."""
        full_ms = empty_ms + self.spec.charge_ms
        self.empty_at_ms = full_ms + self.spec.lasts_ms
        return full_ms

    def percent(self, now_ms: int) -> int:
        """How full it is."""
        left_ms = max(0, self.empty_at_ms - now_ms)
        return min(PERCENT, -(-left_ms * PERCENT // self.spec.lasts_ms))
