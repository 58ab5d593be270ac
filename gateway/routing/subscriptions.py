"""The subscription tree: which subscribers a topic name reaches.

Its slow twin is `gateway.mqtt.matches`, filter by filter. What is then sent to whom is the
session's.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)
V = TypeVar("V")


class Level(Generic[S, V]):
    """One level of the tree: the filters that end here, and the levels below by name."""

    __slots__ = ("below", "values_by_subscriber")

    def __init__(self) -> None:
        self.below: dict[str, Level[S, V]] = {}
        self.values_by_subscriber: dict[S, V] = {}

    def is_empty(self) -> bool:
        return not self.below and not self.values_by_subscriber


class SubscriptionTree(Generic[S, V]):
    """Topic filters, each with its subscribers and what they asked for.

    `generation` grows with every change, so that a caller may keep what `match` returned until
    then.
    """

    def __init__(self) -> None:
        self._root: Level[S, V] = Level()
        self._count = 0
        self.generation = 0

    def __len__(self) -> int:
        return self._count

    def add(self, topic_filter: str, subscriber: S, value: V) -> bool:
        """Set what `subscriber` asked for with a filter; True when the filter is new to it."""
        level = self._root
        for name in topic_filter.split("/"):
            level = level.below.setdefault(name, Level())
        is_new = subscriber not in level.values_by_subscriber
        level.values_by_subscriber[subscriber] = value
        self._count += is_new
        self.generation += 1
        return is_new

    def remove(self, topic_filter: str, subscriber: S) -> bool:
        """Forget one subscription; False when there was none."""
        path: list[tuple[Level[S, V], str]] = []
        level = self._root
        for name in topic_filter.split("/"):
            path.append((level, name))
            found = level.below.get(name)
            if found is None:
                return False
            level = found
        if subscriber not in level.values_by_subscriber:
            return False
        del level.values_by_subscriber[subscriber]
        self._count -= 1
        self.generation += 1
        for parent, name in reversed(path):
            if not parent.below[name].is_empty():
                break
            del parent.below[name]
        return True

    def match(self, topic: str) -> Mapping[S, list[V]]:
        """Every subscriber that a topic reaches, with the values of all its matching filters.

        A filter that begins with a wildcard does not match a topic that begins with `$`.

        Spec: MQTT5 §4.7.2 [MQTT5-4.7.2-1], MQTT311 §4.7.2 [MQTT311-4.7.2-1]
        """
        found: dict[S, list[V]] = {}
        names = topic.split("/")
        for level in self._levels(names, is_dollar=topic.startswith("$")):
            for subscriber, value in level.values_by_subscriber.items():
                found.setdefault(subscriber, []).append(value)
        return found

    def _levels(self, names: list[str], *, is_dollar: bool) -> Iterator[Level[S, V]]:
        """Every level where a matching filter ends."""
        open_levels = [self._root]
        for depth, name in enumerate(names):
            deeper: list[Level[S, V]] = []
            wildcards_match = depth > 0 or not is_dollar
            for level in open_levels:
                below = level.below
                if wildcards_match and "#" in below:
                    yield below["#"]
                if name in below:
                    deeper.append(below[name])
                if wildcards_match and "+" in below:
                    deeper.append(below["+"])
            open_levels = deeper
        for level in open_levels:
            yield level
            # "sport/#" also matches "sport" itself [MQTT5-4.7.1-2].
            if "#" in level.below:
                yield level.below["#"]
