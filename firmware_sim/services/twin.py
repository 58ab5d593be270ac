"""The device's side of its twin: takes what is desired, and reports what is in force; sans-IO.

Theory of operation. `desired` and `state` bring everything that is wanted, `delta` what changed. A
property that is wanted and possible comes into force; one that is not wanted any more goes back to
what the device left the factory with; one that is wanted and not possible leaves things as they
are, which the report shows. Versions only grow: what is older than the latest is stale and changes
nothing; a delta that skips versions makes the device ask for everything. What is in force and
reported lies in the flash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from firmware_sim.services.deeds import Ask, Deed, Tell
from firmware_sim.services.spec import INTERVAL, TwinSpec

MILLISECONDS = 1_000
LIMIT_MOST = 1e12


class Twin:
    """One device's copy of its twin."""

    def __init__(
        self, spec: TwinSpec, device: str, interval_ms: int, count: Callable[[str], None]
    ) -> None:
        """`interval_ms` is the device's own; `count` hears of everything that happens, by name."""
        self.spec = spec
        self._device = device
        self._count = count
        self._factory: dict[str, float] = {INTERVAL: _seconds(interval_ms)}
        self._factory |= {threshold.name: threshold.limit for threshold in spec.thresholds}
        self.in_force = dict(self._factory)
        self._version = 0
        self._unreported: dict[str, Any] = dict(self.in_force)

    @property
    def interval_ms(self) -> int:
        """The time between two readings that is in force."""
        return round(self.in_force[INTERVAL] * MILLISECONDS)

    def filters(self) -> list[str]:
        """What to subscribe to."""
        return [f"twin/{self._device}/{word}" for word in ("desired", "delta", "state", "error")]

    def note(self, name: str, value: float | str) -> None:
        """Have something reported that is not a setting, such as the version of the firmware."""
        self._unreported[name] = value

    def report(self) -> list[Deed]:
        """Report what was not reported yet; to be called while there is a connection."""
        if not self._unreported:
            return []
        patch, self._unreported = self._unreported, {}
        return [Tell(f"twin/{self._device}/reported", orjson.dumps(patch), "reported")]

    def hear(self, word: str, message: Mapping[str, Any]) -> list[Deed]:
        """Take one message of the twin's topics: `desired`, `delta`, `state` or `error`."""
        if word == "error":
            self._count("report_refused")
            return []
        version = message.get("desired_version" if word == "state" else "version")
        wanted = message.get("delta" if word == "delta" else "desired")
        if type(version) is not int or not isinstance(wanted, dict):
            self._count("not_understood")
            return []
        if word == "delta":
            return self._take_delta(version, wanted)
        if version < self._version:
            self._count("stale_desired")
            return []
        self._version = version
        self._take({name: wanted.get(name) for name in self._factory})
        return self.report()

    def wish(self, wanted: Mapping[str, Any]) -> bool:
        """Take settings from a command: all of them, or none when one is unknown or impossible."""
        if not wanted or not all(
            name in self._factory and self._is_possible(name, value)
            for name, value in wanted.items()
        ):
            return False
        self._take(wanted)
        return True

    def _take_delta(self, version: int, delta: Mapping[str, Any]) -> list[Deed]:
        if version <= self._version:
            self._count("stale_desired")
            return []
        if version > self._version + 1:
            return [Ask(f"twin/{self._device}/get", b"missed")]
        self._version = version
        self._take(delta)
        return self.report()

    def _take(self, wanted: Mapping[str, Any]) -> None:
        """Bring into force what is possible; None is what the device left the factory with."""
        for name, value in wanted.items():
            if name not in self._factory:
                continue
            setting = self._factory[name] if value is None else value
            if not self._is_possible(name, setting):
                self._count("impossible_desired")
                self._unreported[name] = self.in_force[name]
            elif setting != self.in_force[name]:
                self._count("settings_changed")
                self.in_force[name] = self._unreported[name] = setting

    def _is_possible(self, name: str, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if name != INTERVAL:
            return abs(value) <= LIMIT_MOST
        if value == self._factory[INTERVAL]:
            return True
        least_ms, most_ms = self.spec.interval_ms_least, self.spec.interval_ms_most
        return least_ms <= value * MILLISECONDS <= most_ms


def _seconds(duration_ms: int) -> float:
    """Milliseconds as seconds, a whole number if they are one."""
    seconds, rest = divmod(duration_ms, MILLISECONDS)
    return duration_ms / MILLISECONDS if rest else seconds
