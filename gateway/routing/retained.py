"""Retained messages: the last one of each topic that was published to be kept, found by filter.

Keeping them on disk is the caller's; their limits are here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

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


@dataclass(slots=True)
class Branch:
    """One level of topic names; `topic` is set where a retained message's name ends."""

    below: dict[str, Branch] = field(default_factory=dict)
    topic: str | None = None


class RetainedMessages:
    """The retained messages by topic, and a tree of their names for filters with wildcards."""

    def __init__(self, limits: RetainedLimits) -> None:
        self._limits = limits
        self._messages: dict[str, Retained] = {}
        self._root = Branch()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    def get(self, topic: str) -> Retained | None:
        """The retained message of a topic."""
        return self._messages.get(topic)

    def accepts(self, topic: str, payload_bytes: int) -> bool:
        """Whether another message may be retained under this topic."""
        limits = self._limits
        if payload_bytes > limits.payload_bytes_max:
            return False
        if topic in self._messages or not payload_bytes:
            return True
        is_full = len(self._messages) >= limits.count_max or self.bytes >= limits.bytes_max
        return not is_full

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
                self._add(topic)
        elif earlier is not None:
            self._remove(topic)

    def match(self, topic_filter: str) -> Iterator[str]:
        """Every topic with a retained message that a filter matches, as they are now.

        Spec: MQTT5 §4.7, MQTT311 §4.7
        """
        if "+" not in topic_filter and "#" not in topic_filter:
            return iter([topic_filter] if topic_filter in self._messages else [])
        return self._walk(self._root, topic_filter.split("/"), 0)

    def _walk(self, branch: Branch, levels: list[str], depth: int) -> Iterator[str]:
        if depth == len(levels):
            if branch.topic is not None:
                yield branch.topic
            return
        level = levels[depth]
        if level == "#":
            yield from self._all(branch, at_top=depth == 0)
        elif level == "+":
            for name, below in list(branch.below.items()):
                # A wildcard does not match a first level that begins with $ [MQTT5-4.7.2-1].
                if depth or not name.startswith("$"):
                    yield from self._walk(below, levels, depth + 1)
        elif level in branch.below:
            yield from self._walk(branch.below[level], levels, depth + 1)

    def _all(self, branch: Branch, *, at_top: bool) -> Iterator[str]:
        """Every topic at and below a branch, without recursion: names may be deep."""
        waiting = [branch]
        while waiting:
            branch = waiting.pop()
            if branch.topic is not None:
                yield branch.topic
            for name, below in branch.below.items():
                if not (at_top and name.startswith("$")):
                    waiting.append(below)
            at_top = False

    def _add(self, topic: str) -> None:
        branch = self._root
        for name in topic.split("/"):
            branch = branch.below.setdefault(name, Branch())
        branch.topic = topic

    def _remove(self, topic: str) -> None:
        path: list[tuple[Branch, str]] = []
        branch = self._root
        for name in topic.split("/"):
            path.append((branch, name))
            branch = branch.below[name]
        branch.topic = None
        for above, name in reversed(path):
            below = above.below[name]
            if below.below or below.topic is not None:
                break
            del above.below[name]


def _size(topic: str, message: Retained) -> int:
    return len(topic) + len(message.payload) + len(message.properties) + OVERHEAD_BYTES
