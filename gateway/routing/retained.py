"""Retained messages: the last one of each topic that was published to be kept, found by filter.

Keeping them on disk is the caller's; their limits are here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from gateway.mqtt import has_wildcard
from gateway.routing.topic_tree import TopicTree

OVERHEAD_BYTES = 256


class Retained(NamedTuple):
    """One retained message, as it was published."""

    payload: bytes
    flags: int
    properties: bytes
    client: str
    arrival_ms: int


@dataclass(frozen=True, slots=True)
class RetainedLimits:
    """How much may be retained; a message beyond a limit is delivered, but not retained."""

    count_max: int = 200_000
    bytes_max: int = 256 << 20
    payload_bytes_max: int = 1 << 20


class RetainedMessages:
    """The retained messages by topic, and a tree of their names for filters with wildcards."""

    def __init__(self, limits: RetainedLimits) -> None:
        self._limits = limits
        self._messages: dict[str, Retained] = {}
        self._topics = TopicTree()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    def get(self, topic: str) -> Retained | None:
        """The retained message of a topic."""
        return self._messages.get(topic)

    def accepts(self, topic: str, payload_bytes: int) -> bool:
        """Whether another message may be retained under this topic."""
        limits = self._limits
        if not payload_bytes:
            return True
        earlier = self._messages.get(topic)
        if payload_bytes > limits.payload_bytes_max:
            return False
        if earlier is None and len(self._messages) >= limits.count_max:
            return False
        others_bytes = self.bytes - (0 if earlier is None else _size(topic, earlier))
        return others_bytes + len(topic) + payload_bytes + OVERHEAD_BYTES <= limits.bytes_max

    def put(self, topic: str, message: Retained) -> None:
        """Retain a message; an empty payload removes the one that was there.

        Spec: MQTT5 §3.3.1.3 [MQTT5-3.3.1-5] [MQTT5-3.3.1-6], MQTT311 §3.3.1.3 [MQTT311-3.3.1-10]
        """
        earlier = self._messages.pop(topic, None)
        if earlier is not None:
            self.bytes -= _size(topic, earlier)
        if message.payload:
            self._messages[topic] = message
            self.bytes += _size(topic, message)
            if earlier is None:
                self._topics.add(topic)
        elif earlier is not None:
            self._topics.remove(topic)

    def match(self, topic_filter: str) -> Iterator[str]:
        """Every topic with a retained message that a filter matches, as they are now.

        Spec: MQTT5 §4.7, MQTT311 §4.7
        """
        if has_wildcard(topic_filter):
            return self._topics.match(topic_filter)
        return iter([topic_filter] if topic_filter in self._messages else [])


def _size(topic: str, message: Retained) -> int:
    return len(topic) + len(message.payload) + len(message.properties) + OVERHEAD_BYTES
