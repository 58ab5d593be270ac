"""Who may publish, subscribe and read what: patterns with names in braces, filled in per device.

Nothing is allowed that no pattern allows. A pattern is a topic filter; `{device}` is the device's
id, `{profile}` its profile, any other name one of its tags. `{topics}` stands for the templates of
its profile. A name that the device has no tag for is any level where the profile captures it in
that very place, and names the device as well; else the pattern allows nothing. A wildcard in the
first level stands for no topic of the gateway's own, as with `$`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.devices.registry import DEVICE_ROLE, Device
from gateway.devices.service_topics import is_for_applications, is_service_sealed
from gateway.devices.topics import TopicTemplate
from gateway.mqtt import matches

NAME = re.compile(r"\{([a-z][a-z0-9_]*)\}")
DEVICE_NAME = "{device}"
TOPICS = "{topics}"
WILDCARDS = frozenset("+#/")
ANY_LEVEL, ALL_LEVELS = "+", "#"
WILD = frozenset((ANY_LEVEL, ALL_LEVELS))
# What the gateway says of itself: a wildcard does not give the right to speak in its name.
OWN_ROOTS = frozenset({"alerts", "alarms", "audit", "dead-letters", "presence"})
# Nobody but the gateway writes there, whatever a pattern says.
SEALED_ROOTS = frozenset({"audit", "enrol", "presence"})
# Nobody reads there whom no pattern allows it by name.
UNHEARD_ROOT = "audit"
Devices = Literal["own", "topic"]


@dataclass(frozen=True, slots=True)
class Role:
    """What a kind of device may do, as patterns.

    `subscribe` says which filters may be asked for beside those that `read` covers; what is
    delivered is what `read` allows. `devices` says whose events it publishes: its `own`, whatever
    the topic says, or those of the devices that the `topic` names, for a gateway of other devices.
    """

    write: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    devices: Devices = "own"


OPERATOR = Role(
    ("#", "alerts/#", "alarms/#", "dead-letters/#", "twin/#", "command/#"),
    ("#", "audit/#", "$SYS/#"),
    (),
    "topic",
)
READER = Role((), ("#", "$SYS/#"))
DEVICE = Role(("+/{device}/#", "{device}/#"), ("+/{device}/#", "{device}/#"))
ROLES: Mapping[str, Role] = {DEVICE_ROLE: DEVICE, "operator": OPERATOR, "reader": READER}


@dataclass(frozen=True, slots=True)
class Rights:
    """The patterns of one role with everything filled in."""

    write: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    devices: Devices = "own"

    def may_write(self, topic: str) -> bool:
        """Whether it may publish to a topic."""
        if is_sealed(topic):
            return False
        patterns = self.write
        if topic.partition("/")[0] in OWN_ROOTS or is_for_applications(topic):
            patterns = _named(patterns)
        return any(matches(pattern, topic) for pattern in patterns)

    def may_read(self, topic: str) -> bool:
        """Whether a message to a topic may be delivered to it."""
        patterns = self.read
        if topic.partition("/")[0] == UNHEARD_ROOT:
            patterns = _named(patterns)
        return any(matches(pattern, topic) for pattern in patterns)

    def reads_all_of(self, topic_filter: str) -> bool:
        """Whether it may read everything that a filter matches."""
        if topic_filter[:1] in WILD and not self.may_read(f"{UNHEARD_ROOT}/x"):
            return False
        return any(covers(pattern, topic_filter) for pattern in self.read)

    def may_subscribe(self, topic_filter: str) -> bool:
        """Whether it may ask for a filter; what it then gets is what it may read."""
        return any(covers(pattern, topic_filter) for pattern in (*self.read, *self.subscribe))


def is_sealed(topic: str) -> bool:
    """Whether nobody but the gateway may publish to a topic."""
    return topic.partition("/")[0] in SEALED_ROOTS or is_service_sealed(topic)


def _named(patterns: Iterable[str]) -> tuple[str, ...]:
    """Those patterns whose first level is no wildcard."""
    return tuple(pattern for pattern in patterns if pattern[:1] not in WILD)


EVERYTHING = Rights(OPERATOR.write, OPERATOR.read, OPERATOR.subscribe, OPERATOR.devices)


def rights_of(
    device: Device, roles: Mapping[str, Role], templates: Sequence[TopicTemplate] = ()
) -> Rights:
    """What a device may do, whose profile has these templates; nothing without a known role."""
    role = roles.get(device.role)
    if role is None:
        return Rights()
    values = {**device.tags, "device": device.id, "profile": device.profile}
    return Rights(
        _filled(role.write, values, templates),
        _filled(role.read, values, templates),
        _filled(role.subscribe, values, templates),
        role.devices,
    )


def _filled(
    patterns: Iterable[str], values: Mapping[str, str], templates: Sequence[TopicTemplate]
) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for pattern in patterns:
        wanted = [own.text for own in templates] if pattern == TOPICS else [pattern]
        filled = (fill(one, values, templates) for one in wanted)
        found.update(dict.fromkeys(one for one in filled if one is not None))
    return tuple(found)


def fill(
    pattern: str, values: Mapping[str, str], templates: Sequence[TopicTemplate] = ()
) -> str | None:
    """A pattern with its names replaced; None when a value is missing or more than a level."""
    free = _free_names(pattern, templates)
    values = {**dict.fromkeys(free, ANY_LEVEL), **values}
    for name in NAME.findall(pattern):
        value = values.get(name, "")
        is_free = name in free and value == ANY_LEVEL
        if not value or (WILDCARDS.intersection(value) and not is_free):
            return None
    return NAME.sub(lambda found: values[found[1]], pattern)


def _free_names(pattern: str, templates: Sequence[TopicTemplate]) -> set[str]:
    """The names in a pattern that a template captures in the same place, as it does the device.

    The device's own level keeps such a pattern to its own topics, whatever else is in them.
    """
    free: set[str] = set()
    levels = pattern.split("/")
    for template in templates:
        alike = [
            one
            for one, other in zip(levels, template.text.split("/"), strict=False)
            if one == other and NAME.fullmatch(one)
        ]
        if DEVICE_NAME in alike:
            free.update(one[1:-1] for one in alike)
    return free - {"device"}


def covers(pattern: str, topic_filter: str) -> bool:
    """Whether every topic that `topic_filter` matches is one that `pattern` matches."""
    if topic_filter.startswith("$") and pattern[:1] in WILD:
        return False
    return _covers(pattern.split("/"), topic_filter.split("/"))


def _covers(pattern: Sequence[str], wanted: Sequence[str]) -> bool:
    for depth, level in enumerate(pattern):
        if level == ALL_LEVELS:
            return True
        if depth >= len(wanted):
            return False
        if wanted[depth] == ALL_LEVELS or level not in (ANY_LEVEL, wanted[depth]):
            return False
    # `sport/#` also asks for `sport`, which the pattern must not be short of.
    return len(wanted) == len(pattern)
