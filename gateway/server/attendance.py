"""Who listens for which device: what is meant for one need not be sent while nobody would hear it.

A client listens for a device by a filter whose first level is a root that is watched, and whose
second level is the device's id. Wildcards there are those of applications, which watch many.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.devices import DEVICE_VERBS
from gateway.routing import SubscriptionTree
from gateway.server.subscriber import Subscriber
from gateway.session import Grant

WILDCARDS = ("+", "#")
Place = tuple[str, str]
"""A root and a device."""


class Attendance(SubscriptionTree[Subscriber, Grant]):
    """The subscriptions of everybody who is connected, and for which devices they listen."""

    def __init__(self) -> None:
        super().__init__()
        self._watchers: dict[str, Callable[[str], None]] = {}
        self._listeners: dict[Place, set[tuple[Subscriber, str]]] = {}

    def watch(self, root: str, watcher: Callable[[str], None]) -> None:
        """Let somebody hear of each device for which a client begins to listen under a root."""
        self._watchers[root] = watcher
        for own_root, device in list(self._listeners):
            if own_root == root:
                watcher(device)

    def is_heard(self, root: str, device: str) -> bool:
        """Whether a connected client listens for a device under a root."""
        return (root, device) in self._listeners

    def add(self, topic_filter: str, subscriber: Subscriber, value: Grant) -> bool:
        is_new = super().add(topic_filter, subscriber, value)
        place = place_of(topic_filter)
        if place is not None:
            self._listeners.setdefault(place, set()).add((subscriber, topic_filter))
            watcher = self._watchers.get(place[0])
            if watcher is not None:
                watcher(place[1])
        return is_new

    def remove(self, topic_filter: str, subscriber: Subscriber) -> bool:
        place = place_of(topic_filter)
        listeners = None if place is None else self._listeners.get(place)
        if place is not None and listeners is not None:
            listeners.discard((subscriber, topic_filter))
            if not listeners:
                del self._listeners[place]
        return super().remove(topic_filter, subscriber)


def place_of(topic_filter: str) -> Place | None:
    """The root and the device that a filter names; None when it names none."""
    root, _, below = topic_filter.partition("/")
    if root not in DEVICE_VERBS:
        return None
    device = below.partition("/")[0]
    return (root, device) if device and device not in WILDCARDS else None
