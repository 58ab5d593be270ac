"""The services of one device behind one counter: messages and time in, deeds out; sans-IO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import orjson

from firmware_sim.chance import derive_key
from firmware_sim.services.commands import Commands
from firmware_sim.services.deeds import Deed, Restart
from firmware_sim.services.spec import ServicesSpec
from firmware_sim.services.twin import Twin
from firmware_sim.services.update import Update
from gateway.mqtt import Publish

# What was said before a reboot has so long to leave.
RESTART_DELAY_MS = 300
LEVELS = 3


class ServiceJournal(Protocol):
    """Hears what the services of a device do."""

    def served(self, what: str) -> None:
        """Something happened; it is counted by its name."""
        ...

    def obeyed(self, request_id: str, outcome: str) -> None:
        """A request was taken: `obeyed`, answered `again`, or not obeyed and why."""
        ...


class DeskPlan(NamedTuple):
    """Whose services these are."""

    device: str
    key: int
    interval_ms: int
    """The time between two readings that the scenario gives the device."""


class ServiceDesk:
    """Gives each message to the service that it is for."""

    def __init__(self, spec: ServicesSpec, plan: DeskPlan, journal: ServiceJournal) -> None:
        self._device = plan.device
        self._journal = journal
        key = derive_key(plan.key, "services")
        self.twin: Twin | None = None
        self.update: Update | None = None
        self._commands: Commands | None = None
        if spec.twin is not None:
            self.twin = Twin(spec.twin, plan.device, plan.interval_ms, journal.served)
        if spec.commands is not None:
            self._commands = Commands(spec.commands, plan.device, key, journal.obeyed)
        if spec.updates is not None:
            self.update = Update(spec.updates, plan.device, key, journal.served)
            self._note("firmware", self.update.version)
        self._boots = 0
        self._restart: Restart | None = None
        self._restart_at_ms: int | None = None

    @property
    def next_due_ms(self) -> int | None:
        """When `advance` must be called again; None when only messages matter."""
        update_ms = None if self.update is None else self.update.next_due_ms
        if update_ms is None or self._restart_at_ms is None:
            return self._restart_at_ms if update_ms is None else update_ms
        return min(update_ms, self._restart_at_ms)

    def filters(self) -> list[str]:
        """What the device subscribes to on every connection."""
        services = (self.twin, self._commands, self.update)
        return [found for service in services if service for found in service.filters()]

    def boot(self) -> list[Deed]:
        """The device has power again, or for the first time."""
        self._boots += 1
        self._note("boots", self._boots)
        if self._commands is not None:
            self._commands.boots = self._boots
        if self.update is None:
            return []
        deeds = self.update.booted()
        if deeds:
            self._note("firmware", self.update.version)
        return deeds

    def connected(self) -> list[Deed]:
        """There is a connection: say what was to be said."""
        return [] if self.twin is None else self.twin.report()

    def lost(self) -> None:
        """There is no connection any more."""
        if self.update is not None:
            self.update.lost()

    def advance(self, now_ms: int) -> list[Deed]:
        """Do what is due."""
        deeds = [] if self.update is None else self.update.advance(now_ms)
        if self._restart_at_ms is not None and self._restart_at_ms <= now_ms:
            assert self._restart is not None  # noqa: S101 - both are set together
            deeds.append(self._restart)
            self._restart_at_ms = None
        return deeds

    def hear(self, packet: Publish, now_ms: int, clock_ms: int) -> list[Deed]:
        """Take one message; `clock_ms` is what the device's own clock shows."""
        levels = packet.topic.split("/", LEVELS)
        if len(levels) < LEVELS or levels[1] != self._device:
            self._journal.served("misdelivered")
            return []
        service, _, word, *rest = levels
        deeds = self._hear(service, word, rest[0] if rest else "", packet, now_ms, clock_ms)
        return self._put_off_restart(deeds, now_ms)

    def _hear(  # noqa: PLR0913 - the parts of one topic beside its message
        self, service: str, word: str, rest: str, packet: Publish, now_ms: int, clock_ms: int
    ) -> list[Deed]:
        if service == "ota" and self.update is not None and word == "chunk":
            return self.update.hear_chunk(_number(rest), packet.payload, now_ms)
        message = _read(packet.payload)
        if service == "ota" and self.update is not None and word == "offer":
            return self.update.hear_offer(packet.payload, message, now_ms)
        if service == "command" and self._commands is not None and word == "request":
            deeds = self._commands.hear(rest, packet, message, self.twin, clock_ms)
            return deeds if self.twin is None else [*deeds, *self.twin.report()]
        if service == "twin" and self.twin is not None and isinstance(message, Mapping):
            return self.twin.hear(word, message)
        self._journal.served("not_understood")
        return []

    def _put_off_restart(self, deeds: list[Deed], now_ms: int) -> list[Deed]:
        """Let what is said leave first; a restart that is due already is not put off again."""
        for deed in deeds:
            if isinstance(deed, Restart) and self._restart_at_ms is None:
                self._restart, self._restart_at_ms = deed, now_ms + RESTART_DELAY_MS
        return [deed for deed in deeds if not isinstance(deed, Restart)]

    def _note(self, name: str, value: float | str) -> None:
        if self.twin is not None:
            self.twin.note(name, value)


def _read(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None


def _number(text: str) -> int:
    """A decimal number; -1 when it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else -1  # noqa: PLR2004 - more digits than any image has
