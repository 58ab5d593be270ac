"""A key along which a sequence is looked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.rules.alarms import Outbox
from gateway.rules.event_names import Event, ScopeMap, names_of_event
from gateway.rules.pages import Samples
from gateway.rules.patterns.automaton import Automaton
from gateway.rules.patterns.linear import LinearRuns
from gateway.rules.patterns.matches import Match
from gateway.rules.patterns.sequences import SequencePlan
from gateway.rules.plans import RulePlan
from gateway.rules.tracks import Track
from gateway.rules.values import Value


class SequenceTrack(Track):
    """The partial matches of one key, and the alarm that its matches raise."""

    __slots__ = ("is_linear", "runs")

    def __init__(self, plan: RulePlan, key: Value, text: str) -> None:
        super().__init__(plan, key, text)
        self.runs: LinearRuns | Automaton = _runs_of(plan)
        self.is_linear = isinstance(self.runs, LinearRuns)

    def advance(
        self, event: Event, values: tuple[Value, ...], scope: ScopeMap, outbox: Outbox
    ) -> None:
        """Take in the next event of the key."""
        samples = self.admit(event, values, scope)
        if samples is None:
            return
        runs = self.runs
        if runs.is_idle and self.is_linear and samples[0] is not True:
            return  # nothing waits, and nothing begins
        found = runs.take(event, samples, scope)
        if runs.dropped:
            self.plan.counters.dropped_partials += runs.dropped
            runs.dropped = 0
        if found:
            names = {**scope, **names_of_event(event), "key": self.key}
            for match in found:
                self._tell(match, {**names, **match.names}, outbox)
        due_ms = runs.due_ms
        self.due_ms = due_ms if due_ms < self.condition.due_ms else self.condition.due_ms

    def fire(self, outbox: Outbox) -> None:
        """Do the one thing that is due at `due_ms`."""
        self.is_dirty = True
        moment_ms = self.due_ms
        if self.condition.due_ms == moment_ms:
            change = self.condition.fire()
            if change is not None:
                scope = self.remembered(moment_ms, outbox)
                outbox.announce(self.plan, self.text, change, {**scope, **self.results})
        else:
            match = self.runs.fire()
            if match is not None:
                scope = self.remembered(moment_ms, outbox)
                names = {**scope, **match.last, "ts": moment_ms, **match.names}
                self._tell(match, names, outbox)
        self.due_ms = self.find_due()

    def find_due(self) -> int:
        """When something is due next."""
        return min(self.condition.due_ms, self.runs.due_ms)

    def _tell(self, match: Match, names: ScopeMap, outbox: Outbox) -> None:
        """Give out a match: the messages about it, and the alarm, which is a moment by itself."""
        plan, condition = self.plan, self.condition
        outbox.announce_match(plan, self.text, match, names)
        if match.event != "match" or plan.spec.alarm is None:
            return
        self.results = match.names
        change = self.look(match.time_ms, names, when=True)
        if change is not None:
            condition.since_ms = match.since_ms
            change = change._replace(since_ms=match.since_ms)
            outbox.announce(plan, self.text, change, names)
        if plan.condition.auto_clear_ms is None:
            change = self.look(match.time_ms, names, when=False)
            if change is not None:
                outbox.announce(plan, self.text, change, names)
            self.results = {}

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return self.runs.is_idle

    def pack_own(self) -> tuple[Value, Samples | None]:
        """What is under way."""
        return [self.is_linear, self.runs.pack()], None

    def unpack_own(self, packed: Value, pages: Mapping[int, list[Any]]) -> bool:
        """Take over what was under way; False where this program looks for it in another way."""
        is_linear, runs = packed
        if is_linear is not self.is_linear:
            return False
        self.runs.unpack(runs)
        return True


def _runs_of(plan: RulePlan) -> LinearRuns | Automaton:
    pattern = plan.pattern
    if not isinstance(pattern, SequencePlan):
        raise TypeError(f"rule {plan.spec.id!r} has no sequence")
    return LinearRuns(pattern) if pattern.is_linear else Automaton(pattern)
