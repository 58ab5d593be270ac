"""What rules may know of devices beside their events: tags and twins, as of the place in the log.

Every change of them is a record of the stream `twins`, and holds for the records that come after it
in the log, so that a replay sees what was true then. Rules read them by the names `tags` and
`twin`, each as a row of a look-up that nobody wrote: of the device that an event is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, NamedTuple

import orjson
from msgspec import msgpack

from gateway.rules.lookups import Version
from gateway.rules.spec import EnrichSpec, Expression, RuleSpec
from gateway.rules.values import Value

TWINS_STREAM: Final = "twins"
GATEWAY_CLIENT: Final = "$gateway"
TAGS, TWIN = "tags", "twin"
FACT_NAMES: Final = (TAGS, TWIN)
FACT_LOOKUPS: Final = {TAGS: "$tags", TWIN: "$twin"}
FACT: Final = "fact"
KNOWN: Final = f"{FACT}//known"
TOPIC_LEVELS: Final = 3

Part = Literal["tags", "desired", "reported", "removed"]
Row = dict[str, Value]


class Fact(NamedTuple):
    """One part of what is known of a device, all of it."""

    device: str
    part: Part
    value: Row


def decode_fact(topic: str, payload: bytes) -> Fact | None:
    """A record of the stream of twins; None for one that changes nothing."""
    levels = topic.split("/")
    if len(levels) != TOPIC_LEVELS or levels[0] != TWIN or levels[2] != "changed":
        return None
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    match found:
        case {"part": ("tags" | "desired" | "reported" | "removed") as part, "value": dict(value)}:
            return Fact(levels[1], part, value)
        case _:
            return None


def facts_read(names: frozenset[str], device: Expression) -> tuple[EnrichSpec, ...]:
    """The look-ups of facts that a rule makes which reads these names."""
    return tuple(
        EnrichSpec(name, lookup, device) for name, lookup in FACT_LOOKUPS.items() if name in names
    )


def reads_facts(rules: Iterable[RuleSpec]) -> bool:
    """Whether one of the rules reads tags or twins of devices."""
    lookups = set(FACT_LOOKUPS.values())
    return any(one.lookup in lookups for rule in rules for one in rule.enrich)


class DeviceFacts:
    """Tags and twins of every device that has some.

    `is_known` says whether what held at the beginning is in it; until then it must be told.
    """

    def __init__(self) -> None:
        self.is_known = False
        self._rows: dict[str, dict[str, Row]] = {TAGS: {}, TWIN: {}}
        self._changed: set[str] = set()
        self._is_noted = False

    @property
    def versions(self) -> Mapping[str, Version]:
        """What look-ups of facts read, by the name of the look-up; it changes as facts do."""
        return {
            lookup: Version(lookup, "", self._rows[name]) for name, lookup in FACT_LOOKUPS.items()
        }

    def begin(self, facts: Iterable[Fact]) -> None:
        """Take what held at the beginning."""
        for fact in facts:
            self.take(fact)
        self.is_known = True

    def take(self, fact: Fact) -> None:
        """Let a fact hold from the next record on."""
        device, part, value = fact
        tags, twins = self._rows[TAGS], self._rows[TWIN]
        if part == "removed":
            tags.pop(device, None)
            twins.pop(device, None)
        elif part == "tags":
            tags[device] = value
        else:
            # Rows that are read already must stay as they are.
            twins[device] = {**twins.get(device, {}), part: value}
        self._changed.add(device)

    def snapshot(self) -> Iterator[tuple[str, bytes | None]]:
        """What has changed since the last snapshot, as entries of a table; None deletes."""
        changed, self._changed = self._changed, set()
        for device in sorted(changed):
            rows = [self._rows[name].get(device) for name in FACT_NAMES]
            yield f"{FACT}/{device}", msgpack.encode([1, *rows]) if any(rows) else None
        if self.is_known and not self._is_noted:
            self._is_noted = True
            yield KNOWN, msgpack.encode([1])

    def restore(self, entries: Mapping[str, list[Value]]) -> None:
        """Take over the entries that snapshots have left, decoded, without their versions."""
        for name, rows in entries.items():
            if name == KNOWN:
                self.is_known = self._is_noted = True
                continue
            device = name.partition("/")[2]
            for fact_name, row in zip(FACT_NAMES, rows, strict=True):
                if row is not None:
                    self._rows[fact_name][device] = row
