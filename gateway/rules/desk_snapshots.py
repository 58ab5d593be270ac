"""The alarms that stand as entries of the rules' table, and back.

Names of entries: `alarm/<rule>/<key>`, one alarm, the rule as one level of a topic; `desk/<rule>`,
what a rule has told lately. The layout of the values changes only with `VERSION`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import unquote

from msgspec import msgpack

from gateway.rules.alarm_topics import encode_level
from gateway.rules.alarms import FLOOD, RULE_ERROR
from gateway.rules.desk import Desk
from gateway.rules.standing import Alarm

VERSION = 1
ALARM = "alarm"
DESK = "desk"

Entry = tuple[str, bytes | None]


def snapshot_desk(desk: Desk) -> Iterator[Entry]:
    """What has changed since the last snapshot."""
    touched: dict[str, None] = {}
    for rule_id, key, alarm in desk.changes():
        touched[rule_id] = None
        value = None if alarm is None else msgpack.encode([VERSION, alarm.pack()])
        yield f"{ALARM}/{encode_level(rule_id)}/{key}", value
    for rule_id in touched:
        rule = desk.rules.get(rule_id)
        name = f"{DESK}/{encode_level(rule_id)}"
        if rule is None:
            yield name, None
        else:
            group = [rule.group_until_ms] if rule.group_until_ms else []
            yield name, msgpack.encode([VERSION, rule.throttle.pack(), rule.numbers, *group])


class DeskRestoration:
    """Fills a desk from the entries that snapshots have left."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def take(self, kind: str, owner: str, key: str, fields: list[Any]) -> None:
        """Take over one entry, without its version."""
        rule_id = unquote(owner)
        rule = self._desk.rules.get(rule_id)
        if kind == DESK:
            if rule is not None:
                throttle, rule.numbers, *group = fields
                rule.throttle.unpack(throttle)
                rule.group_until_ms = group[0] if group and rule.spec.suppress.group_ms else 0
            return
        alarm = Alarm("warning")
        alarm.unpack(fields[0])
        if rule is None:
            self._desk.orphans.append((rule_id, key, alarm, "the rule is gone"))
        else:
            rule.alarms[key] = alarm

    def finish(self, stopped_rules: Collection[str]) -> None:
        """Take up the work; alarms about rules that are well again have nobody else to clear them.

        `stopped_rules` have failed and stay stopped.
        """
        desk = self._desk
        errors = desk.rules[RULE_ERROR].alarms
        for rule_id in [one for one in errors if one not in stopped_rules]:
            reason = "the rule has changed" if rule_id in desk.rules else "the rule is gone"
            desk.orphans.append((RULE_ERROR, rule_id, errors.pop(rule_id), reason))
        floods = desk.rules[FLOOD].alarms
        for rule_id in [one for one in floods if one not in desk.rules]:
            desk.orphans.append((FLOOD, rule_id, floods.pop(rule_id), "the rule is gone"))
        desk.settle()
