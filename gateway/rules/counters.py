"""What a rule has met since it first ran, and whether it fails too often to go on."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

FAULTS_MAX: Final = 5
"""So many faults within `FAULTS_WITHIN_MS`, and a rule is stopped."""
FAULTS_WITHIN_MS: Final = 60_000


@dataclass(slots=True)
class RuleCounters:
    """What a rule has met so far.

    `evaluated` are the events that were shown to it, `raised` its alarms, `suppressed` the steps of
    alarms that were not told. `late_example` is the latest event that came too late: its topic,
    device and event time.
    """

    evaluated: int = 0
    raised: int = 0
    suppressed: int = 0
    late: int = 0
    early: int = 0
    without_time: int = 0
    without_key: int = 0
    cut_samples: int = 0
    forgotten_keys: int = 0
    dropped_partials: int = 0
    faults: int = 0
    late_example: tuple[str, str, int] | None = None

    def turn_away(self, *, is_late: bool, example: tuple[str, str, int]) -> None:
        """Count an event that is out of its time; `example` is its topic, device and time."""
        if is_late:
            self.late += 1
            self.late_example = example
        else:
            self.early += 1

    def pack(self) -> dict[str, Any]:
        """Everything that isn't nothing, by name."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in values if value}

    def unpack(self, packed: Mapping[str, Any]) -> None:
        """Become what `pack` was called on; names of other versions are left out."""
        for field in fields(self):
            if field.name in packed:
                setattr(self, field.name, packed[field.name])
        if self.late_example is not None:
            topic, device, time_ms = self.late_example
            self.late_example = (topic, device, time_ms)


class FaultLimit:
    """How often a rule has failed lately, by the arrival times of what it failed at."""

    __slots__ = ("times",)

    def __init__(self) -> None:
        self.times: deque[int] = deque(maxlen=FAULTS_MAX)

    def note(self, now_ms: int) -> bool:
        """Count one fault; True when it is the last one that is borne."""
        self.times.append(now_ms)
        return len(self.times) == FAULTS_MAX and now_ms - self.times[0] < FAULTS_WITHIN_MS
