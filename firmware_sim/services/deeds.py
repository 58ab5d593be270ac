"""What a service asks of its device: to say something surely, to say it now, to restart."""

from __future__ import annotations

from typing import NamedTuple

from gateway.mqtt import Properties


class Tell(NamedTuple):
    """Publish at QoS 1; it lies in the flash until acknowledged, and then counts as `note`."""

    topic: str
    payload: bytes
    note: str
    properties: Properties = Properties()


class Ask(NamedTuple):
    """Publish at QoS 0, if there is a connection; who asks will ask again."""

    topic: str
    payload: bytes


class Restart(NamedTuple):
    """Lose power for so long."""

    off_ms: int


Deed = Tell | Ask | Restart
