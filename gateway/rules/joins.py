"""Joins over time: which events of other sources an event meets (RULES S2).

Theory of operation. Events of all sources of a rule run along one timeline for each key, in order
of event time. `inner` and `left`: an event of the rule's own sources meets one event of each joined
source, none of them further than `within` away, and it does so when the last of them comes. With
`left`, one that has met nothing is taken alone, `within` later. `latest`: an event meets the newest
of each joined source that is at most `within` old, or nothing, at once. What is remembered is
bounded: at most `EVENTS_MAX` events of each source and key, and of joined ones only what is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gateway.mqtt import matches
from gateway.rules.event_names import Event, names_of_event
from gateway.rules.expression.checker import EVENT_NAMES, Environment
from gateway.rules.expression.closures import Closure, close
from gateway.rules.expression.compiled import CompiledExpression, compile_expression
from gateway.rules.expression.nodes import Binary, Field, Logic, Name, Node, unparse, walk
from gateway.rules.instants import NEVER
from gateway.rules.keys import KeyPlan
from gateway.rules.patterns.bindings import Pick
from gateway.rules.patterns.sequences import paths_read
from gateway.rules.payloads import decode_payload
from gateway.rules.spec import Expression, JoinSpec, RuleSpec, Scope
from gateway.rules.values import Value

EVENTS_MAX = 1_000
MEETINGS_MAX = 1_000
TOPICS_MAX = 65_536
Joined = Mapping[str, Value]
"""What expressions read of the events that were met, by the names of the join."""


class Meeting(NamedTuple):
    """An event of the rule's own, and what it has met, at a moment."""

    time_ms: int
    event: Event
    joined: Joined


class Roles(NamedTuple):
    """What an event is to a join: one of the rule's own, one of these names, or both."""

    is_own: bool
    names: tuple[str, ...]


class JoinPlan:
    """The join of one rule, worked out once."""

    __slots__ = (
        "_filters",
        "_key_plans",
        "_own_filters",
        "_own_key",
        "_roles",
        "horizon_ms",
        "is_latest",
        "is_left",
        "kept_max",
        "names",
        "picks",
        "tests",
        "within_ms",
    )

    is_device = False

    def __init__(self, spec: RuleSpec, join: JoinSpec) -> None:
        self.names = tuple(join.sources)
        self.within_ms = join.within_ms
        self.is_left = join.type == "left"
        self.is_latest = join.type == "latest"
        # An event may wait for a second one as long as it waits for the first.
        waits = 1 if self.is_latest or len(self.names) == 1 else 2
        self.horizon_ms = join.within_ms * waits
        self.kept_max = 1 if self.is_latest and join.on is None else EVENTS_MAX
        self.picks = {
            name: Pick([path[1:] for path in paths_read(spec, frozenset((name,)))])
            for name in self.names
        }
        conjuncts = tuple(_conjuncts(join.on))
        self.tests = {name: self._tests_at(name, conjuncts) for name in self.names}
        self._own_filters = tuple(source.topic_filter for source in spec.sources)
        self._filters = {name: source.topic_filter for name, source in join.sources.items()}
        self._own_key = KeyPlan(spec.key)
        self._key_plans = {
            name: KeyPlan([_key_of(part, name, conjuncts) for part in spec.key])
            for name in self.names
        }
        self._roles: dict[str, Roles] = {}

    def _tests_at(self, name: str, conjuncts: Sequence[Node]) -> tuple[Closure, ...]:
        """The conditions that can be decided once this name is known, and those before it."""
        place = self.names.index(name)
        known, before = set(self.names[: place + 1]), set(self.names[:place])
        return tuple(
            close(node)
            for node in conjuncts
            if (read := _names_in(node) & set(self.names)) <= known
            and not (read <= before and place)
        )

    def roles(self, topic: str) -> Roles:
        """What the events of a topic are to the join."""
        found = self._roles.get(topic)
        if found is None:
            if len(self._roles) >= TOPICS_MAX:
                self._roles.clear()
            is_own = any(matches(one, topic) for one in self._own_filters)
            names = (name for name, one in self._filters.items() if matches(one, topic))
            found = self._roles[topic] = Roles(is_own, tuple(names))
        return found

    def read(self, scope: Scope) -> tuple[Value, str] | None:
        """The key of the event in the scope, and its text, as `KeyPlan.read`."""
        is_own, names = self.roles(str(scope["topic"]))
        plan = self._own_key if is_own or not names else self._key_plans[names[0]]
        return plan.read(scope)


class Sides:
    """The events of one key that may still meet."""

    __slots__ = ("_others", "_own", "dropped", "plan")

    def __init__(self, plan: JoinPlan) -> None:
        self.plan = plan
        self._own: list[tuple[Event, bool]] = []
        self._others: dict[str, list[dict[str, Value]]] = {name: [] for name in plan.names}
        self.dropped = 0

    @property
    def is_empty(self) -> bool:
        return not self._own and not any(self._others.values())

    @property
    def due_ms(self) -> int:
        """When the first event that has met nothing is taken alone; just after its time is over."""
        if not self.plan.is_left:
            return NEVER
        times = (event[0] for event, is_met in self._own if not is_met)
        return min(times, default=NEVER - self.plan.within_ms - 1) + self.plan.within_ms + 1

    def take_own(self, event: Event) -> list[Meeting]:
        """Take in an event of the rule's own; what it meets."""
        self._forget(event[0])
        plan = self.plan
        if plan.is_latest:
            return [Meeting(event[0], event, self._latest(event))]
        found = [Meeting(event[0], event, joined) for joined in self._met_by(event)]
        self._own.append((event, bool(found)))
        if len(self._own) > EVENTS_MAX:
            del self._own[0]
            self.dropped += 1
        return self._bounded(found)

    def take_other(self, name: str, event: Event) -> list[Meeting]:
        """Take in an event of a joined source; what meets it."""
        self._forget(event[0])
        picked = self.plan.picks[name].take(names_of_event(event))
        found: list[Meeting] = []
        if not self.plan.is_latest:
            for place, (own, is_met) in enumerate(self._own):
                if own is event:
                    continue
                met = [Meeting(event[0], own, one) for one in self._met_by(own, {name: [picked]})]
                self._own[place] = own, is_met or bool(met)
                found += met
        kept = self._others[name]
        kept.append(picked)
        if len(kept) > self.plan.kept_max:
            del kept[0]
            self.dropped += not self.plan.is_latest
        return self._bounded(found)

    def expire(self) -> Meeting:
        """Take the event alone that has met nothing for so long."""
        place = next(number for number, (_, is_met) in enumerate(self._own) if not is_met)
        event, _ = self._own.pop(place)
        return Meeting(event[0] + self.plan.within_ms, event, {})

    def _bounded(self, found: list[Meeting]) -> list[Meeting]:
        self.dropped += max(0, len(found) - MEETINGS_MAX)
        return found[:MEETINGS_MAX]

    def _forget(self, time_ms: int) -> None:
        """Let go of what can meet nothing that comes at `time_ms` or later."""
        horizon_ms = time_ms - self.plan.horizon_ms
        for kept in self._others.values():
            while kept and kept[0]["ts"] < horizon_ms:
                del kept[0]
        while self._own and self._own[0][0][0] < time_ms - self.plan.within_ms:
            del self._own[0]

    def _met_by(
        self, event: Event, fixed: Mapping[str, list[dict[str, Value]]] | None = None
    ) -> Iterator[Joined]:
        """One of each joined source, in every combination that fits the event; oldest first."""
        sides = {**self._others, **(fixed or {})}
        found: list[dict[str, Value]] = [{}]
        names = names_of_event(event)
        for name in self.plan.names:
            near = [one for one in sides[name] if abs(one["ts"] - event[0]) <= self.plan.within_ms]
            found = [
                joined
                for before in found
                for one in near
                if self._fits(name, names, joined := {**before, name: one})
            ][: MEETINGS_MAX + 1]
        return iter(found)

    def _latest(self, event: Event) -> Joined:
        """The newest of each joined source that fits the event, by name, where there is one."""
        names = names_of_event(event)
        found: dict[str, Value] = {}
        for name in self.plan.names:
            for one in reversed(self._others[name]):
                if self._fits(name, names, {**found, name: one}):
                    found[name] = one
                    break
        return found

    def _fits(self, name: str, names: Mapping[str, object], joined: Joined) -> bool:
        tests = self.plan.tests[name]
        if not tests:
            return True
        scope = {**names, **joined}
        return all(test(scope) is True for test in tests)

    def pack(self) -> list[Value]:
        """Everything as plain values."""
        own = [[list(event[:-1]), is_met] for event, is_met in self._own]
        return [own, [self._others[name] for name in self.plan.names]]

    def unpack(self, packed: list[Value]) -> None:
        """Become what `pack` was called on."""
        own, others = packed
        self._own = [((*event, decode_payload(event[-1])), is_met) for event, is_met in own]
        self._others = dict(zip(self.plan.names, others, strict=True))


def join_of(spec: RuleSpec) -> JoinPlan | None:
    """The plan of the rule's join; None when it has none."""
    return JoinPlan(spec, spec.join) if spec.join is not None else None


def _conjuncts(on: Expression | None) -> Iterator[Node]:
    """The conditions that must all hold."""
    if isinstance(on, CompiledExpression):
        tree = on.tree
        yield from tree.items if isinstance(tree, Logic) and tree.operator == "&&" else (tree,)


def _names_in(node: Node) -> set[str]:
    return {part.name for part in walk(node) if isinstance(part, Name)}


def _key_of(part: Expression, name: str, conjuncts: Sequence[Node]) -> Expression:
    """What makes the key of joined events: what `on` says must equal it, or the key itself."""
    if not isinstance(part, CompiledExpression):
        return part
    wanted = unparse(part.tree)
    for node in conjuncts:
        if not isinstance(node, Binary) or node.operator != "==":
            continue
        for own, other in ((node.left, node.right), (node.right, node.left)):
            text = _path_below(other, name)
            if text is not None and unparse(own) == wanted:
                return compile_expression(text, Environment(dict(EVENT_NAMES)))
    return part


def _path_below(node: Node, name: str) -> str | None:
    """`hvac.payload.room` as the joined event itself would call it: `payload.room`."""
    text = unparse(node)
    inner = node
    while isinstance(inner, Field):
        inner = inner.base
    is_path = isinstance(inner, Name) and inner.name == name and inner is not node
    return text.removeprefix(f"{name}.") if is_path and text.startswith(f"{name}.") else None
