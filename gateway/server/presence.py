"""Which devices are here: an event in the stream `presence` when one comes, and when it has left.

A device with several clients is here as long as one of them is. The last event of each is retained
under `presence/<device>`, so whoever subscribes there knows at once how things stand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from gateway.clock import Clock
from gateway.events import Flag, Origin, Run
from gateway.routing import RetainedMessages

if TYPE_CHECKING:
    from gateway.server.connection import Connection

PRESENCE_STREAM = "presence"
GATEWAY_CLIENT = "$gateway"
CONNECTED, DISCONNECTED = "connected", "disconnected"
LOST, STOPPED = "the connection was lost", "the gateway stopped"
FLAGS = bytes((Flag.QOS_1 | Flag.RETAIN,))


class Presence:
    """Counts the clients of each device that are here, and tells of the first and the last."""

    def __init__(self, submit: Callable[[list[Run]], None], clock: Clock) -> None:
        self._submit = submit
        self._clock = clock
        self._device_by_connection: dict[Connection, tuple[str, str]] = {}
        self._count_by_device: dict[str, int] = {}

    def enter(self, connection: Connection, device: str, client_id: str) -> None:
        """A client of a device has been let in."""
        self._device_by_connection[connection] = device, client_id
        count = self._count_by_device[device] = self._count_by_device.get(device, 0) + 1
        if count == 1:
            self._tell(device, CONNECTED, client_id=client_id, address=connection.host)

    def leave(self, connection: Connection, reason: str = "") -> None:
        """A connection is over; nothing happens if it was not one of a device."""
        device, client_id = self._device_by_connection.pop(connection, ("", ""))
        if not device:
            return
        count = self._count_by_device.pop(device) - 1
        if count:
            self._count_by_device[device] = count
            return
        reason = reason or connection.session.end_reason or LOST
        self._tell(
            device, DISCONNECTED, client_id=client_id, address=connection.host, reason=reason
        )

    def restore(self, retained: RetainedMessages) -> None:
        """Tell of those that were here when an earlier run ended without a word."""
        for topic in list(retained.match(f"{PRESENCE_STREAM}/+")):
            message = retained.get(topic)
            content = {} if message is None else orjson.loads(message.payload)
            if content.get("state") == CONNECTED:
                self._tell(topic.partition("/")[2], DISCONNECTED, reason=STOPPED)

    def stop(self) -> None:
        """Everybody leaves with the gateway."""
        for connection in list(self._device_by_connection):
            self.leave(connection, STOPPED)

    def _tell(self, device: str, state: str, **fields: Any) -> None:
        now_ms = self._clock.now_ms()
        payload = orjson.dumps({"device": device, "state": state, "time": now_ms, **fields})
        origin = Origin(f"{PRESENCE_STREAM}/{device}", device)
        run = Run(PRESENCE_STREAM, 0, GATEWAY_CLIENT, now_ms, [origin], [payload], FLAGS)
        self._submit([run])
