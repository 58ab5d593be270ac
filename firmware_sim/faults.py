"""What goes wrong with a device, and when: a plan per device that follows from the seed alone.

What each fault does to a device is `device`'s affair; here is only when it strikes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from firmware_sim.chance import derive_key, draw_unit, is_among


class FaultKind(Enum):
    """The faults that firmware meets, by the word that scenario files use."""

    RECONNECT = "reconnect"
    RESEND = "resend"
    SILENCE = "silence"
    RADIO_LOSS = "radio_loss"
    HALF_OPEN = "half_open"
    POWER_LOSS = "power_loss"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    CORRUPT = "corrupt"
    CLOCK_JUMP = "clock_jump"


FAULT_TEXTS = {
    FaultKind.RECONNECT: "the connection breaks and is made again",
    FaultKind.RESEND: "acknowledgements get lost, then the connection; all is sent again with DUP",
    FaultKind.SILENCE: "takes no readings, and stays connected",
    FaultKind.RADIO_LOSS: "no connection; readings wait in the buffer",
    FaultKind.HALF_OPEN: "the connection looks alive, and nothing passes until the device notices",
    FaultKind.POWER_LOSS: "no readings and no connection; then boots, with its flash and no memory",
    FaultKind.DUPLICATE: "sends every reading twice",
    FaultKind.REORDER: "holds readings back, then sends them in any order",
    FaultKind.CORRUPT: "payloads are damaged before they are sent",
    FaultKind.CLOCK_JUMP: "the device's clock is wrong by so much, until it is set right",
}
# These strike at one moment; how long their effect lasts follows from the device.
MOMENTARY = frozenset({FaultKind.RECONNECT, FaultKind.HALF_OPEN})


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """One kind of fault: about every `every_ms`, for `lasts_ms`, on a `share` of the devices.

    The time between two strikes is uniform between half of `every_ms` and one and a half of it. A
    fault `is_common` when it strikes all devices at the same moments.
    """

    kind: FaultKind
    every_ms: int
    lasts_ms: int = 0
    share: float = 1.0
    by_ms: int = 0
    """How far a clock jumps; forward, or backward when it is negative."""
    is_common: bool = False


class FleetCourse(NamedTuple):
    """What the plans of all devices of a run share: the key and the start of common faults."""

    key: int
    start_ms: int


class FaultPlan:
    """The strikes that one device will suffer, in order of time."""

    def __init__(
        self,
        specs: Sequence[FaultSpec],
        key: int,
        rank: int,
        start_ms: int,
        common: FleetCourse | None = None,
    ) -> None:
        """Plan for the device at place `rank` of its kind; nothing strikes before `start_ms`.

        `key` is the kind's, the same for all its devices: that is what spreads a share evenly.
        Faults that all devices have in common follow the course of the fleet.
        """
        self._courses: list[_Course] = []
        common = common or FleetCourse(key, start_ms)
        for number, spec in enumerate(specs):
            kind_key = derive_key(key, spec.kind.value, number)
            if not is_among(rank, spec.share, draw_unit(kind_key)):
                continue
            if spec.is_common:
                course_key = derive_key(common.key, spec.kind.value, number)
                self._courses.append(_Course(spec, course_key, common.start_ms))
            else:
                self._courses.append(_Course(spec, derive_key(kind_key, rank), start_ms))
        self._next_due_ms = self._earliest_ms()

    @property
    def next_due_ms(self) -> int | None:
        """When the next fault strikes; None when none ever will."""
        return self._next_due_ms

    def strike(self, now_ms: int) -> list[FaultSpec]:
        """Take every fault that is due by `now_ms`, each at most once, and plan its next strike."""
        if self._next_due_ms is None or self._next_due_ms > now_ms:
            return []
        due = [course for course in self._courses if course.due_ms <= now_ms]
        for course in due:
            course.postpone(now_ms)
        self._next_due_ms = self._earliest_ms()
        return [course.spec for course in due]

    def _earliest_ms(self) -> int | None:
        return min((course.due_ms for course in self._courses), default=None)


class _Course:
    """The strikes of one fault on one device."""

    __slots__ = ("_count", "_key", "due_ms", "spec")

    def __init__(self, spec: FaultSpec, key: int, start_ms: int) -> None:
        self.spec = spec
        self._key = key
        self._count = 0
        self.due_ms = start_ms + int(draw_unit(key, 0) * spec.every_ms)

    def postpone(self, now_ms: int) -> None:
        """Move on to the first strike after `now_ms`."""
        while self.due_ms <= now_ms:
            self._count += 1
            wait_ratio = 0.5 + draw_unit(self._key, self._count)
            self.due_ms += max(1, int(self.spec.every_ms * wait_ratio))
