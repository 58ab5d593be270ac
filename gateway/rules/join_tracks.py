"""A key along which events of several sources meet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.rules.alarms import Outbox
from gateway.rules.emitting_tracks import EmittingTrack
from gateway.rules.event_names import Event, ScopeMap, names_of_event
from gateway.rules.joins import Joined, JoinPlan, Meeting, Sides
from gateway.rules.pages import Samples
from gateway.rules.plans import RulePlan
from gateway.rules.values import UNKNOWN, Value


class JoinTrack(EmittingTrack):
    """A condition, a window or a stream over events that have met."""

    __slots__ = ("joined", "sides")

    def __init__(self, plan: RulePlan, key: Value, text: str) -> None:
        super().__init__(plan, key, text)
        self.sides = Sides(_plan_of(plan))
        self.joined: Joined = {}

    def advance(
        self, event: Event, values: tuple[Value, ...], scope: ScopeMap, outbox: Outbox
    ) -> None:
        """Take in the next event of the key, whatever source it is from."""
        sides = self.sides
        roles = sides.plan.roles(event[2])
        if roles.is_own and self.passes(event, scope):
            self._take(sides.take_own(event), outbox)
        for name in roles.names:
            self._take(sides.take_other(name, event), outbox)
        self.plan.counters.dropped_partials += sides.dropped
        sides.dropped = 0
        self.due_ms = self.find_due()

    def prepare(self, event: Event, scope: ScopeMap) -> list[Value] | None:
        """Compute what an event and what it has met make; whether it is taken is decided."""
        return self.compute(event, scope)

    def fire(self, outbox: Outbox) -> None:
        """Do the one thing that is due at `due_ms`."""
        self.is_dirty = True
        if self.sides.due_ms <= super().find_due():
            self._take([self.sides.expire()], outbox)
        else:
            super().fire(outbox)
        self.due_ms = self.find_due()

    def find_due(self) -> int:
        """When something is due next."""
        return min(super().find_due(), self.sides.due_ms)

    def remembered(self, moment_ms: int, outbox: Outbox) -> ScopeMap:
        """The names that can still be told at `moment_ms`, those that were met last included."""
        return {**self.known(self.joined), **super().remembered(moment_ms, outbox)}

    def known(self, joined: Joined) -> ScopeMap:
        """Every name of the join; unknown where nothing was met."""
        return {name: joined.get(name, UNKNOWN) for name in self.sides.plan.names}

    def _take(self, found: Iterable[Meeting], outbox: Outbox) -> None:
        for time_ms, event, joined in found:
            self.joined = joined
            taken = (time_ms, *event[1:])
            scope = {**names_of_event(taken), "key": self.key, **self.known(joined)}
            super().advance(taken, (), scope, outbox)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits."""
        return super().is_idle and self.sides.is_empty and not self.joined

    def pack_own(self) -> tuple[Value, Samples | None]:
        """What waits, what was met last, and the window."""
        own, samples = super().pack_own()
        return [own, self.sides.pack(), self.joined], samples

    def unpack_own(self, packed: Value, pages: Mapping[int, list[Any]]) -> bool:
        """Take over what `pack_own` gave; False when a page is missing."""
        own, sides, joined = packed
        if not super().unpack_own(own, pages):
            return False
        self.sides.unpack(sides)
        self.joined = joined
        return True


def _plan_of(plan: RulePlan) -> JoinPlan:
    if plan.join is None:
        raise TypeError(f"rule {plan.spec.id!r} has no join")
    return plan.join
