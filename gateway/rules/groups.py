"""Raises of one rule that are told together: `suppress: {group: 1m}` (RULES L11).

The first raise is told at once, and opens a group; those that follow within the time are held back.
When it is over, one message tells of all that still stand, and opens the next group. All of it is
in arrival time.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

from gateway.rules.instants import NEVER
from gateway.rules.standing import RuleAlarms

GROUP: Final = "group"
NAMED_MAX: Final = 10


class Telling(NamedTuple):
    """One alarm of a group whose time is over: what is said of it, and whether aloud."""

    key: str
    message: str
    reason: str
    quiet: str = ""


class Groups:
    """The groups that are open, by the time at which they end."""

    def __init__(self, rules: Mapping[str, RuleAlarms]) -> None:
        self._rules = rules
        self._ends: list[tuple[int, str]] = []

    def begin(self, rule: RuleAlarms, now_ms: int) -> None:
        """Open a group, if the rule asks for any; a raise was told just now."""
        if rule.spec.suppress.group_ms:
            rule.group_until_ms = now_ms + rule.spec.suppress.group_ms
            heappush(self._ends, (rule.group_until_ms, rule.spec.id))

    def settle(self) -> None:
        """Queue the groups that were taken over."""
        rules = self._rules.values()
        self._ends = [(one.group_until_ms, one.spec.id) for one in rules if one.group_until_ms]
        heapify(self._ends)

    def next_ms(self) -> int:
        """When a group ends next; NEVER when none is open."""
        while self._ends:
            end_ms, rule_id = self._ends[0]
            if self._rules[rule_id].group_until_ms == end_ms:
                return end_ms
            heappop(self._ends)
        return NEVER

    def pop(self) -> RuleAlarms:
        """Close the group that ends next; `next_ms` has found it."""
        _, rule_id = heappop(self._ends)
        rule = self._rules[rule_id]
        rule.group_until_ms = 0
        return rule


def told_together(rule: RuleAlarms, now_ms: int) -> list[Telling]:
    """Decide what is told when a group is over: by the oldest alarm, of all that still stand."""
    held = sorted(
        (alarm.time_ms, key)
        for key, alarm in rule.alarms.items()
        if alarm.quiet == GROUP and alarm.is_up and not (alarm.is_told or alarm.is_acked)
    )
    keys: list[str] = []
    for _, key in held:
        alarm = rule.alarms[key]
        alarm.quiet = rule.hold_on(key, alarm) or rule.throttle.admit(
            alarm.token, now_ms, is_extra=bool(keys)
        )
        alarm.is_told = not alarm.quiet
        if alarm.is_told:
            keys.append(key)
    return _tellings(rule, keys)


def _tellings(rule: RuleAlarms, keys: list[str]) -> list[Telling]:
    if not keys:
        return []
    leader, *others = keys
    message = rule.alarms[leader].message
    if others:
        named = ", ".join(one or "-" for one in others[:NAMED_MAX])
        more = f" and {len(others) - NAMED_MAX} others" if len(others) > NAMED_MAX else ""
        message = f"{message} (and {len(others)} more: {named}{more})"
    first = Telling(leader, message, f"{len(keys)} alarms were raised meanwhile")
    reason = f"told with {leader or '-'}"
    return [first, *(Telling(one, rule.alarms[one].message, reason, GROUP) for one in others)]
