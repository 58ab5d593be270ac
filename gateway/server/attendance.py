"""Who listens for which device: what is meant for one need not be sent while nobody would hear it.

A client listens for a device by a filter that names the device and covers what it is told, such as
`twin/pump-7/delta`. A wildcard in the place of the device is that of an application, which watches
many.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.devices import HEARD_VERBS
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
    """The root and the device that a filter listens for; None when it listens for none."""
    root, *below = topic_filter.split("/", 3)
    if root not in HEARD_VERBS or not below:
        return None
    device = below[0]
    verb = below[1] if len(below) > 1 else ""
    if not device or device in WILDCARDS or verb not in {*HEARD_VERBS[root], *WILDCARDS}:
        return None
    return root, device
