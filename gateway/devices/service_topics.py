"""The topics of what the gateway does for devices: twins, commands, updates; and whose they are.

Each is `<root>/<device>/<verb>` with more levels for some verbs. A device and an application speak
under the verbs that the table gives them; under every other one the gateway speaks alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

TWIN, COMMAND, OTA = "twin", "command", "ota"

DEVICE_VERBS: Mapping[str, frozenset[str]] = {
    TWIN: frozenset({"reported", "get"}),
    COMMAND: frozenset({"response"}),
    OTA: frozenset({"get", "status"}),
}
"""What devices say."""

APPLICATION_VERBS: Mapping[str, frozenset[str]] = {
    TWIN: frozenset({"set"}),
    COMMAND: frozenset({"send", "cancel"}),
    OTA: frozenset(),
}
"""What applications say: only who is allowed it by name may, no wildcard in the root will do."""

HEARD_VERBS: Mapping[str, frozenset[str]] = {
    TWIN: frozenset({"desired", "delta"}),
    COMMAND: frozenset({"request"}),
    OTA: frozenset({"offer", "chunk"}),
}
"""Who subscribes to these by a device's id listens for the device."""

SERVICE_TEMPLATES = tuple(f"{root}/{{device}}/#" for root in DEVICE_VERBS)
"""How these topics name their device, whatever the configuration says of others."""

LEVELS_MIN = 3
DEVICE_CHARACTERS_MAX = 128


class ServiceTopic(NamedTuple):
    """One such topic in its parts; `rest` is what follows the verb."""

    root: str
    device: str
    verb: str
    rest: str = ""


def service_topic(topic: str) -> ServiceTopic | None:
    """The parts of a topic; None if it is none of these, or names what can't be a device."""
    root, _, below = topic.partition("/")
    if root not in DEVICE_VERBS:
        return None
    parts = below.split("/", 2)
    if len(parts) < LEVELS_MIN - 1 or not 0 < len(parts[0]) <= DEVICE_CHARACTERS_MAX:
        return None
    return ServiceTopic(root, parts[0], parts[1], parts[2] if len(parts) >= LEVELS_MIN else "")


def is_for_applications(topic: str) -> bool:
    """Whether a topic asks the gateway for something that a device may not ask for itself."""
    found = service_topic(topic)
    return found is not None and found.verb in APPLICATION_VERBS[found.root]


def is_service_sealed(topic: str) -> bool:
    """Whether a topic is one of these, and nobody but the gateway speaks there."""
    root = topic.partition("/")[0]
    if root not in DEVICE_VERBS:
        return False
    found = service_topic(topic)
    return found is None or found.verb not in DEVICE_VERBS[root] | APPLICATION_VERBS[root]
