"""How an alarm stands, and all alarms of one rule that stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.rules.duplicates import digest_of
from gateway.rules.instants import NEVER
from gateway.rules.outputs import State
from gateway.rules.plans import names_of, templates_in
from gateway.rules.spec import AlarmSpec, RuleSpec, Scope, Severity
from gateway.rules.throttles import Throttle
from gateway.rules.values import UNKNOWN, Value

SHELVED_MAX: Final = 1_000
"""So many keys of a rule can be shelved that have no alarm."""


class Alarm:
    """One alarm that is up or waits to be acknowledged, or a key that somebody has shelved."""

    __slots__ = (
        "is_acked",
        "is_latched",
        "is_surplus",
        "is_told",
        "is_up",
        "message",
        "n",
        "names",
        "quiet",
        "remind_ms",
        "severity",
        "shelved_until_ms",
        "since_ms",
        "time_ms",
        "token",
    )

    def __init__(self, severity: Severity) -> None:
        self.n = 0
        self.severity: Severity = severity
        self.time_ms = self.since_ms = 0
        self.message = ""
        self.names: Mapping[str, Value] = {}
        """What `publish` reads, for messages that no event brings about."""
        self.token = ""
        self.is_up = self.is_acked = self.is_latched = False
        self.is_told = False
        """Whether its raise was published: whoever hears of a raise hears of the end."""
        self.quiet = ""
        """What held the raise back."""
        self.is_surplus = False
        self.shelved_until_ms = 0
        self.remind_ms = NEVER

    @property
    def is_standing(self) -> bool:
        """Whether it is up, or waits to be acknowledged."""
        return self.is_up or self.is_latched

    @property
    def is_shelved(self) -> bool:
        return self.shelved_until_ms > 0

    @property
    def state(self) -> State:
        if self.is_shelved:
            return "shelved"
        if self.is_latched:
            return "cleared-unacked"
        if not self.is_up:
            return "idle"
        return "acked" if self.is_acked else "raised"

    @property
    def due_ms(self) -> int:
        """The arrival time at which something happens to it by itself."""
        return min(self.remind_ms, self.shelved_until_ms or NEVER)

    def pack(self) -> list[Value]:
        """It as plain values."""
        flags = (self.is_up, self.is_acked, self.is_latched, self.is_told, self.is_surplus)
        return [
            self.n,
            self.severity,
            [self.time_ms, self.since_ms, self.shelved_until_ms, self.remind_ms],
            self.message,
            self.names,
            self.token,
            self.quiet,
            flags,
        ]

    def unpack(self, packed: list[Value]) -> None:
        """Become what `pack` was called on."""
        self.n, self.severity, times, self.message, self.names, self.token, self.quiet = packed[:7]
        self.time_ms, self.since_ms, self.shelved_until_ms, self.remind_ms = times
        self.is_up, self.is_acked, self.is_latched, self.is_told, self.is_surplus = packed[7]


class RuleAlarms:
    """The alarms of one rule, and what the rule says about telling of them."""

    __slots__ = (
        "active_max",
        "alarms",
        "by",
        "children",
        "group_until_ms",
        "idle_count",
        "keys_max",
        "latch",
        "names",
        "numbers",
        "parents",
        "raised",
        "shown_count",
        "spec",
        "suppressed",
        "surplus",
        "throttle",
        "up_count",
    )

    def __init__(self, spec: RuleSpec) -> None:
        alarm = spec.alarm or AlarmSpec()
        self.spec = spec
        self.latch = alarm.latch
        self.active_max = alarm.active_max
        self.keys_max = spec.state.max_keys if spec.key else 1
        self.by = tuple(expression.evaluate for expression in spec.suppress.by)
        self.throttle = Throttle(spec.suppress, self.keys_max)
        templates = [
            template
            for publish in spec.publish
            for template in (publish.topic, *templates_in(publish.payload))
        ]
        self.names = names_of(templates)
        self.parents: list[tuple[RuleAlarms, bool]] = []
        """The rules of `while_active`, each with whether only its alarm of the same key counts."""
        self.children: list[RuleAlarms] = []
        self.alarms: dict[str, Alarm] = {}
        self.surplus: set[str] = set()
        self.raised = self.suppressed = 0
        """How many alarms were raised, and how many steps of alarms were not told."""
        self.up_count = self.shown_count = self.idle_count = 0
        self.group_until_ms = 0
        """Until when raises are held back, to be told together; 0 when they aren't."""
        self.numbers: dict[str, int] = {}
        """The last number of each key, for alarms that have no condition to count them."""

    @property
    def severity(self) -> Severity:
        """The severity of its alarms, where no level says otherwise."""
        return self.spec.alarm.severity if self.spec.alarm is not None else "warning"

    def token_of(self, key: str, scope: Scope) -> str:
        """What counts as the same for the cooldown: the values of `by`, else the key."""
        if not self.by:
            return key
        values = [evaluate(scope) for evaluate in self.by]
        return digest_of([None if value is UNKNOWN else value for value in values])

    def kept_names(self, scope: Scope) -> dict[str, Value]:
        """The part of a scope that `publish` may need later."""
        return {
            name: scope[name]
            for name in sorted(self.names)
            if name in scope and scope[name] is not UNKNOWN
        }

    def is_held_back(self, key: str) -> bool:
        """Whether an alarm of a parent rule is up."""
        for parent, is_same_key in self.parents:
            if not is_same_key:
                if parent.up_count:
                    return True
                continue
            alarm = parent.alarms.get(key)
            if alarm is not None and alarm.is_up:
                return True
        return False

    def hold_on(self, key: str, alarm: Alarm) -> str:
        """What keeps all of an alarm from being told, limits aside; empty when nothing does."""
        if alarm.is_surplus:
            return "active_max"
        if alarm.is_shelved:
            return "shelved"
        return "while_active" if self.is_held_back(key) else ""

    def first_surplus(self) -> str | None:
        """The key of the oldest alarm beyond `active_max`."""
        alarms = self.alarms
        return min(self.surplus, key=lambda key: (alarms[key].time_ms, key), default=None)

    def recount(self) -> None:
        """Count the alarms anew, once they have been taken over."""
        self.up_count = sum(alarm.is_up for alarm in self.alarms.values())
        self.surplus = {key for key, alarm in self.alarms.items() if alarm.is_surplus}
        standing = sum(alarm.is_standing for alarm in self.alarms.values())
        self.shown_count = standing - len(self.surplus)
        self.idle_count = len(self.alarms) - standing


def is_same_sort(spec: RuleSpec, parent: RuleSpec) -> bool:
    """Whether keys of the two rules can be compared: they are the same expressions."""
    texts = [expression.text.strip() for expression in spec.key]
    return bool(texts) and texts == [expression.text.strip() for expression in parent.key]
