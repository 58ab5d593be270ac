"""Watches one key of one rule while the engine runs it, and changes nothing about what it does.

The expressions of the rule are put into others that write down what they were asked and what they
said. They also claim to read the key and the time, so that the engine has both at hand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple
from urllib.parse import quote

from gateway.rules.keys import SAFE_IN_PARTS, SEPARATOR, key_text
from gateway.rules.outputs import Cause
from gateway.rules.rule_sets import RuleSet
from gateway.rules.spec import Expression, RuleSpec, Scope, StatefulCall
from gateway.rules.trials.explaining import distance, tree_of
from gateway.rules.values import UNKNOWN, Kind, Value

NEAR: Final = 0.1
NEAR_MISSES_MAX: Final = 5
LOOKS_MAX: Final = 10_000
WATCHED: Final = ("key", "ts")


class Observed:
    """An expression that tells a journal of each of its values."""

    __slots__ = ("evaluate", "expected", "kind", "names", "slow", "stateful", "text", "tree")

    def __init__(self, role: str, inner: Expression, journal: Journal) -> None:
        self.text = inner.text
        self.names = inner.names | set(WATCHED)
        self.kind: Kind = inner.kind
        self.stateful: tuple[StatefulCall, ...] = inner.stateful
        for name in ("tree", "expected", "slow"):
            setattr(self, name, getattr(inner, name, None))
        compute = inner.evaluate

        def evaluate(scope: Scope) -> Value:
            value = compute(scope)
            journal.note(role, inner, scope, value)
            return value

        self.evaluate: Callable[[Scope], Value] = evaluate


class Look(NamedTuple):
    """What an expression said of one event, or of a moment of silence."""

    role: str
    expression: Expression
    cause: Cause
    time_ms: int
    scope: Mapping[str, object]
    value: Value


class NearMiss(NamedTuple):
    """A time at which the condition was almost true, and then was not."""

    time_ms: int
    cause: Cause
    text: str


class Journal:
    """What the expressions of a rule have said about one key."""

    def __init__(self, key: str, for_ms: int) -> None:
        self.key = key
        self.last: dict[str, Look] = {}
        """The last look of each expression, by its role in the rule."""
        self.near_misses: deque[NearMiss] = deque(maxlen=NEAR_MISSES_MAX)
        self.inputs: deque[tuple[int, Cause]] = deque(maxlen=LOOKS_MAX)
        """When it was looked at, and the record that brought that about."""
        self.cause_of: Callable[[], Cause] | None = None
        self._for_ms = for_ms
        self._true_ms: int | None = None
        self._nearest: tuple[float, NearMiss] | None = None

    def note(self, role: str, expression: Expression, scope: Scope, value: Value) -> None:
        """Take down a value; those of other keys are none of its business."""
        if text_of(scope.get("key")) != self.key or self.cause_of is None:
            return
        time_ms, cause = scope.get("ts"), self.cause_of()
        time_ms = time_ms if isinstance(time_ms, int) else 0
        self.last[role] = Look(role, expression, cause, time_ms, dict(scope), value)
        if role == "when":
            if not self.inputs or self.inputs[-1][1] != cause:
                self.inputs.append((time_ms, cause))
            self._weigh(self.last[role])

    def _weigh(self, look: Look) -> None:
        """See whether it was a near miss: close to true, or true for less than `for`."""
        if look.value is True:
            self._nearest = None
            self._true_ms = look.time_ms if self._true_ms is None else self._true_ms
            return
        if self._true_ms is not None and look.value is not UNKNOWN:
            held_ms, self._true_ms = look.time_ms - self._true_ms, None
            if held_ms < self._for_ms:
                text = f"held for {held_ms} ms of {self._for_ms} ms"
                self.near_misses.append(NearMiss(look.time_ms, look.cause, text))
                return
        tree = tree_of(look.expression)
        far = NEAR + 1 if tree is None else distance(tree, look.scope)
        if far > NEAR:
            if self._nearest is not None:
                self.near_misses.append(self._nearest[1])
                self._nearest = None
        elif self._nearest is None or far < self._nearest[0]:
            text = f"{look.expression.text} was {far:.1%} away from true"
            self._nearest = (far, NearMiss(look.time_ms, look.cause, text))

    def all_near_misses(self) -> list[NearMiss]:
        """The last of them, oldest first, with the one that is not over yet."""
        found = list(self.near_misses)
        return found if self._nearest is None else [*found, self._nearest[1]][-NEAR_MISSES_MAX:]


def text_of(key: object) -> str | None:
    """The text of a key's value, as records and alarms have it."""
    if isinstance(key, list):
        texts = [key_text(part) for part in key]
        if any(text is None for text in texts):
            return None
        return SEPARATOR.join(quote(str(text), safe=SAFE_IN_PARTS) for text in texts)
    return key_text(key)


def observe(rule: RuleSpec, journal: Journal) -> RuleSpec:
    """The same rule, whose conditions write down what they say."""
    changed = rule
    if rule.where is not None:
        changed = replace(changed, where=Observed("where", rule.where, journal))
    if rule.condition is not None:
        condition = rule.condition
        clear = condition.clear
        condition = replace(
            condition,
            when=Observed("when", condition.when, journal),
            clear=None if clear is None else Observed("clear", clear, journal),
        )
        changed = replace(changed, condition=condition)
    return changed


def needed_for(rules: RuleSet, rule_id: str) -> RuleSet:
    """The part of a set that a rule depends on: what feeds it, and what holds it back."""
    by_id = {rule.id: rule for rule in rules.rules}
    wanted: dict[str, None] = {}
    waiting = [rule_id]
    while waiting:
        name = waiting.pop()
        if name in wanted or name not in by_id:
            continue
        wanted[name] = None
        rule = by_id[name]
        waiting += rule.suppress.while_active
        waiting += (source.name for source in rule.sources if source.kind == "rule")
    return replace(rules, rules=tuple(rule for rule in rules.rules if rule.id in wanted))
