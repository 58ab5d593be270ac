"""Sensor signals as values: what a sensor would show at a moment, from a seed and nothing else.

Each signal is a plain description; `sampler` makes one device's copy of it, a function of time.
Samplers are pure: the same moment gives the same value, whatever was asked before. How YAML names
them is `signal_loader`'s affair.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from firmware_sim.chance import derive_key, draw_bell, draw_unit, is_among

Sampler = Callable[[int], float]
"""The value at a moment, given in milliseconds since the Unix epoch."""

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
TURN = 2.0 * math.pi


class Grain(NamedTuple):
    """What makes one device's copy of a signal its own; `rank` is its place in its kind."""

    key: int
    device_key: int
    rank: int
    start_ms: int

    def child(self, name: str | int) -> Grain:
        """The grain of a signal inside this one."""
        return self._replace(key=derive_key(self.key, name))


class Signal(Protocol):
    """A description from which each device gets its own sampler."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def sampler(self, grain: Grain) -> Sampler: ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same value."""

    value: float

    def sampler(self, grain: Grain) -> Sampler:
        value = self.value
        return lambda _time_ms: value


@dataclass(frozen=True, slots=True)
class Offset:
    """What one sensor always shows too much or too little: uniform in ±`spread`, per device."""

    spread: float

    def sampler(self, grain: Grain) -> Sampler:
        value = self.spread * (2.0 * draw_unit(grain.key) - 1.0)
        return lambda _time_ms: value


@dataclass(frozen=True, slots=True)
class Sine:
    """A wave around zero; without a `phase` (a fraction of the period) every device has its own."""

    amplitude: float
    period_ms: int
    phase: float | None = None

    def sampler(self, grain: Grain) -> Sampler:
        phase = draw_unit(grain.key) if self.phase is None else self.phase
        amplitude, period_ms, start_ms = self.amplitude, self.period_ms, grain.start_ms
        return lambda time_ms: (
            amplitude * math.sin(TURN * (((time_ms - start_ms) % period_ms) / period_ms + phase))
        )


@dataclass(frozen=True, slots=True)
class Daily:
    """From `low` to `high` and back once a day, highest `peak_ms` after midnight UTC."""

    low: float
    high: float
    peak_ms: int = 14 * HOUR_MS
    day_ms: int = DAY_MS

    def sampler(self, grain: Grain) -> Sampler:
        middle = (self.high + self.low) / 2.0
        swing = (self.high - self.low) / 2.0
        peak_ms, day_ms = self.peak_ms, self.day_ms
        return lambda time_ms: (
            middle + swing * math.cos(TURN * ((time_ms - peak_ms) % day_ms) / day_ms)
        )


@dataclass(frozen=True, slots=True)
class Walk:
    """A random walk from zero: a bell-shaped `step` every `every_ms`, straight lines between.

    Before each step the value loses the fraction `pull` of itself, which keeps the walk near zero.
    """

    step: float
    every_ms: int
    pull: float = 0.0

    def sampler(self, grain: Grain) -> Sampler:
        return _WalkSampler(self, grain)


class _WalkSampler:
    """Keeps the last two steps: moving forward costs one step, moving back starts anew."""

    __slots__ = ("_after", "_before", "_grain", "_number", "_walk")

    def __init__(self, walk: Walk, grain: Grain) -> None:
        self._walk = walk
        self._grain = grain
        self._rewind()

    def _rewind(self) -> None:
        self._number = 0
        self._before = 0.0
        self._after = self._next(0.0, 1)

    def _next(self, value: float, number: int) -> float:
        kept = value * (1.0 - self._walk.pull)
        return kept + self._walk.step * draw_bell(self._grain.key, number)

    def __call__(self, time_ms: int) -> float:
        elapsed_ms = max(0, time_ms - self._grain.start_ms)
        number, rest_ms = divmod(elapsed_ms, self._walk.every_ms)
        if number < self._number:
            self._rewind()
        while self._number < number:
            self._number += 1
            self._before, self._after = self._after, self._next(self._after, self._number + 1)
        return self._before + (self._after - self._before) * rest_ms / self._walk.every_ms


@dataclass(frozen=True, slots=True)
class Noise:
    """A new bell-shaped value around zero each millisecond, never beyond 3.5 deviations."""

    deviation: float

    def sampler(self, grain: Grain) -> Sampler:
        key, deviation, start_ms = grain.key, self.deviation, grain.start_ms
        return lambda time_ms: deviation * draw_bell(key, time_ms - start_ms)


@dataclass(frozen=True, slots=True)
class Drift:
    """A slow change in one direction, from zero when the run begins."""

    per_hour: float

    def sampler(self, grain: Grain) -> Sampler:
        per_ms, start_ms = self.per_hour / HOUR_MS, grain.start_ms
        return lambda time_ms: per_ms * (time_ms - start_ms)


@dataclass(frozen=True, slots=True)
class Steps:
    """Each of `levels` in turn for `every_ms`; without a `phase` every device begins elsewhere."""

    levels: tuple[float, ...]
    every_ms: int
    phase: float | None = None

    def sampler(self, grain: Grain) -> Sampler:
        phase = draw_unit(grain.key) if self.phase is None else self.phase
        levels, every_ms = self.levels, self.every_ms
        shift_ms = int(phase * every_ms * len(levels)) - grain.start_ms
        return lambda time_ms: levels[(time_ms + shift_ms) // every_ms % len(levels)]


@dataclass(frozen=True, slots=True)
class Pulse:
    """An excursion: `add` for `lasts_ms`, with slopes of `ramp_ms`, every `every_ms`.

    The first begins `first_ms` after the start, plus up to `spread_ms`, different per device and
    the same for all pulses of one device, as they have one cause. Only an evenly spread `share` of
    the devices of a kind has it, the first device always.
    """

    add: float
    every_ms: int
    lasts_ms: int
    ramp_ms: int = 0
    first_ms: int = 0
    spread_ms: int = 0
    share: float = 1.0

    def sampler(self, grain: Grain) -> Sampler:
        if not is_among(grain.rank, self.share):
            return Constant(0.0).sampler(grain)
        begins_ms = (
            grain.start_ms + self.first_ms + int(draw_unit(grain.device_key) * self.spread_ms)
        )
        return lambda time_ms: self._height(time_ms - begins_ms)

    def _height(self, since_first_ms: int) -> float:
        if since_first_ms < 0:
            return 0.0
        at_ms = since_first_ms % self.every_ms
        if at_ms >= self.lasts_ms:
            return 0.0
        if self.ramp_ms:
            edge_ms = min(at_ms, self.lasts_ms - at_ms)
            return self.add * min(1.0, edge_ms / self.ramp_ms)
        return self.add


@dataclass(frozen=True, slots=True)
class Switch:
    """One for `on_ms`, zero for `off_ms`; without a `phase` every device begins elsewhere."""

    on_ms: int
    off_ms: int
    phase: float | None = None

    def sampler(self, grain: Grain) -> Sampler:
        phase = draw_unit(grain.key) if self.phase is None else self.phase
        cycle_ms, on_ms = self.on_ms + self.off_ms, self.on_ms
        shift_ms = int(phase * cycle_ms) - grain.start_ms
        return lambda time_ms: 1.0 if (time_ms + shift_ms) % cycle_ms < on_ms else 0.0


@dataclass(frozen=True, slots=True)
class Sum:
    """Several signals added up, in their order."""

    parts: tuple[Signal, ...]

    def sampler(self, grain: Grain) -> Sampler:
        samplers = [part.sampler(grain.child(number)) for number, part in enumerate(self.parts)]

        def total(time_ms: int) -> float:
            value = 0.0
            for sampler in samplers:
                value += sampler(time_ms)
            return value

        return total


@dataclass(frozen=True, slots=True)
class Clamp:
    """Another signal, held between `low` and `high`."""

    of: Signal
    low: float
    high: float

    def sampler(self, grain: Grain) -> Sampler:
        sampler, low, high = self.of.sampler(grain), self.low, self.high
        return lambda time_ms: min(high, max(low, sampler(time_ms)))
