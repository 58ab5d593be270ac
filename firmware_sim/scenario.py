"""A scenario as values: the kinds of devices, what they measure and what befalls them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from firmware_sim.battery import BatterySpec
from firmware_sim.faults import FaultSpec
from firmware_sim.services import ServicesSpec
from firmware_sim.signals import Signal
from firmware_sim.timepiece import TRUE_TIME, TimepieceSpec

DEVICES_MAX = 50_000
RATE_HZ_MAX = 1_000.0


class FieldType(Enum):
    """How a field's value is written in the payload."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a payload: a signal and how it is written, or a text that never changes."""

    name: str
    signal: Signal
    field_type: FieldType = FieldType.NUMBER
    decimals: int = 2
    text: str | None = None


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """How a kind of device holds its connection, and how much it keeps without one."""

    keep_alive_s: int = 30
    response_ms: int = 20_000
    in_flight_max: int = 64
    buffer_max: int = 10_000
    back_off_first_ms: int = 500
    back_off_most_ms: int = 30_000


@dataclass(frozen=True, slots=True)
class Kind:
    """Devices that are alike; `weight` is their part of the fleet relative to the other kinds'."""

    name: str
    weight: float
    device_template: str
    topic_template: str
    rate_hz: float
    qos: int
    fields: tuple[Field, ...]
    faults: tuple[FaultSpec, ...] = ()
    link: LinkSpec = LinkSpec()
    clock: TimepieceSpec = TRUE_TIME
    battery: BatterySpec | None = None
    services: ServicesSpec | None = None
    is_exactly_once: bool = False
    """Whether readings carry `penstock-seq`, by which a server knows a repeat (MQTT 5)."""

    def device_name(self, rank: int) -> str:
        """The name of the device whose place in this kind is `rank`; the first is number 1."""
        return self.device_template.format(kind=self.name, number=rank + 1)

    def topic(self, device: str) -> str:
        return self.topic_template.format(kind=self.name, device=device)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fleet: its kinds, its size, and how long it runs unless told otherwise."""

    name: str
    title: str
    why: str
    devices: int
    duration_ms: int
    boot_within_ms: int
    kinds: tuple[Kind, ...]

    def with_rate(self, rate_hz: float) -> Scenario:
        """The same fleet with every device at one rate."""
        return replace(self, kinds=tuple(replace(kind, rate_hz=rate_hz) for kind in self.kinds))

    def readings_max(self, devices: int, duration_ms: int) -> int:
        """At most how many readings `devices` devices take in `duration_ms`."""
        counts = share_out(devices, [kind.weight for kind in self.kinds])
        return sum(
            int(count * (kind.rate_hz * duration_ms / 1_000 + 1))
            for kind, count in zip(self.kinds, counts, strict=True)
        )

    def members(self, devices: int) -> Iterator[Member]:
        """Each of `devices` devices, kind by kind."""
        counts = share_out(devices, [kind.weight for kind in self.kinds])
        for kind, count in zip(self.kinds, counts, strict=True):
            for rank in range(count):
                yield Member(kind, rank, kind.device_name(rank))


class Member(NamedTuple):
    """One device of a fleet: its kind, its place in it, and its name."""

    kind: Kind
    rank: int
    name: str


def share_out(total: int, weights: Sequence[float]) -> list[int]:
    """Cut `total` into whole parts by weight: what is left over goes to the largest remainders."""
    whole = sum(weights)
    exact = [total * weight / whole for weight in weights]
    parts = [int(part) for part in exact]
    by_remainder = sorted(range(len(parts)), key=lambda at: (parts[at] - exact[at], at))
    for at in by_remainder[: total - sum(parts)]:
        parts[at] += 1
    return parts
