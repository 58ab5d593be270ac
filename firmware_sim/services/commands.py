"""Commands on the device: each request is obeyed once and answered as often as it comes; sans-IO.

The flash remembers what was answered to the latest requests, so that one that is delivered again,
also after a loss of power, is answered and not obeyed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from firmware_sim.chance import derive_key, draw_unit
from firmware_sim.services.deeds import Deed, Restart, Tell
from firmware_sim.services.spec import CommandsSpec
from firmware_sim.services.twin import Twin
from gateway.mqtt import Properties, Publish

DONE = 200
MALFORMED = 400
UNKNOWN = 404
EXPIRED = 410
FAILED = 500
REQUEST_ID_CHARACTERS_MAX = 200


class Answer(NamedTuple):
    """What a command came to; a status from 400 on is a failure."""

    status: int
    result: Any = None


class Commands:
    """What one device can be told to do: `ping`, `set`, `reboot`."""

    def __init__(
        self, spec: CommandsSpec, device: str, key: int, obeyed: Callable[[str, str], None]
    ) -> None:
        """`obeyed` hears of each request (its id) and what became of it."""
        self.spec = spec
        self.boots = 0
        self._device = device
        self._key = key
        self._obeyed = obeyed
        self._answers: dict[str, bytes] = {}

    def filters(self) -> list[str]:
        """What to subscribe to."""
        return [f"command/{self._device}/request/+"]

    def hear(
        self, request_id: str, packet: Publish, message: object, twin: Twin | None, clock_ms: int
    ) -> list[Deed]:
        """Obey one request, or answer it again; `clock_ms` is what the device's clock shows."""
        if not request_id or len(request_id) > REQUEST_ID_CHARACTERS_MAX:
            return []
        remembered = self._answers.get(request_id)
        if remembered is not None:
            self._obeyed(request_id, "again")
            return [self._tell(request_id, packet, remembered)]
        name = message.get("name") if isinstance(message, Mapping) else None
        answer = self._obey(request_id, name, message, twin, clock_ms)
        payload = orjson.dumps(answer._asdict())
        self._remember(request_id, payload)
        deeds: list[Deed] = [self._tell(request_id, packet, payload)]
        if name == "reboot" and answer.status == DONE:
            deeds.append(Restart(self.spec.restart_ms))
        return deeds

    def _obey(
        self, request_id: str, name: object, message: Any, twin: Twin | None, clock_ms: int
    ) -> Answer:
        if not isinstance(name, str):
            self._obeyed(request_id, "malformed")
            return Answer(MALFORMED, "a request is an object with a name")
        expires_ms = message.get("expires")
        if isinstance(expires_ms, int) and expires_ms <= clock_ms:
            self._obeyed(request_id, "expired")
            return Answer(EXPIRED, "came too late")
        if name not in {"ping", "set", "reboot"} or (name == "set" and twin is None):
            self._obeyed(request_id, "unknown")
            return Answer(UNKNOWN, f"no command '{name}' here")
        self._obeyed(request_id, "obeyed")
        if draw_unit(derive_key(self._key, request_id)) < self.spec.fails:
            return Answer(FAILED, "the device could not do it")
        return self._do(name, message.get("payload"), twin)

    def _do(self, name: str, payload: object, twin: Twin | None) -> Answer:
        if name == "set" and twin is not None:
            if not isinstance(payload, Mapping) or not twin.wish(payload):
                known = ", ".join(twin.in_force)
                return Answer(MALFORMED, f"can't be set so; there are {known}")
            return Answer(DONE, dict(twin.in_force))
        return Answer(DONE, "pong" if name == "ping" else {"boots": self.boots})

    def _tell(self, request_id: str, packet: Publish, payload: bytes) -> Tell:
        # MQTT 5: the requester may say where it wants the answer, and what goes with it.
        asked = packet.properties
        topic = asked.response_topic or f"command/{self._device}/response/{request_id}"
        return Tell(topic, payload, "answered", Properties(correlation_data=asked.correlation_data))

    def _remember(self, request_id: str, payload: bytes) -> None:
        self._answers[request_id] = payload
        while len(self._answers) > self.spec.remembers:
            del self._answers[next(iter(self._answers))]
