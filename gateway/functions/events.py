"""What a function is given, and what it may give back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

QOS_MAX = 2


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the log.

    `payload` is the JSON value, or None where the payload is no JSON; `raw` is the payload byte for
    byte. `time_ms` is when it arrived. `headers` are its MQTT 5 user properties; of several of one
    name the last. `key` names this event and this handler for ever: use it where an effect must not
    happen twice. `attempt` counts the tries, from 1.
    """

    topic: str
    device: str
    payload: Any
    raw: bytes
    stream: str
    partition: int
    offset: int
    time_ms: int
    key: str
    headers: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Publish:
    """An event for the gateway to store and deliver, as if a client had published it.

    `payload` is taken as it is when it is bytes or text; anything else is written as JSON.
    """

    topic: str
    payload: Any
    retain: bool = False
    qos: int = 1
