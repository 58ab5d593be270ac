"""Two or three steps of one event each, in a row: the partial matches of one key, the fast way.

All runs that wait for one step are alike: the event that one of them takes, all of them take. So
there is a list for each step, and nothing is asked of a run until its step is met. It does what
`gateway.rules.patterns.automaton` does, and is tested against it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gateway.rules.event_names import Event, names_of_event
from gateway.rules.instants import NEVER
from gateway.rules.patterns.matches import NOTHING, Match
from gateway.rules.patterns.runs import NO_NAMES
from gateway.rules.patterns.sequences import SequencePlan
from gateway.rules.values import UNKNOWN, Value


class Partial(NamedTuple):
    """A run that waits for its next step."""

    start_ms: int
    names: Mapping[str, Value]


class LinearRuns:
    """The runs of one key, by the step that they wait for."""

    __slots__ = ("dropped", "due_ms", "is_idle", "plan", "waiting")

    def __init__(self, plan: SequencePlan) -> None:
        self.plan = plan
        self.waiting: list[list[Partial]] = [[] for _ in plan.steps[1:]]
        self.due_ms = NEVER
        self.dropped = 0
        self.is_idle = True

    def take(
        self, event: Event, samples: Sequence[Value], scope: Mapping[str, Value]
    ) -> list[Match]:
        """Offer the next event to every run; returns what is complete with it."""
        found = NOTHING
        if not self.is_idle:
            found = self._take_on(event, samples)
            if found and self.plan.skip == "past_last":
                self._clear()
                return found[:1]
        if samples[0] is True:
            self.waiting[0].append(Partial(event[0], self._names(NO_NAMES, 0, event)))
            self.is_idle = False
            if sum(map(len, self.waiting)) > self.plan.partials_max:
                self._make_room(event[0])
        return found

    def fire(self) -> Match | None:
        """Nothing is ever due: a run that waits in vain is dropped when it would be asked."""
        return None

    def _take_on(self, event: Event, samples: Sequence[Value]) -> list[Match]:
        """Move the runs whose step is met; those behind the last step are matches."""
        oldest_ms = event[0] - self.plan.within_ms
        waiting, found, last = self.waiting, NOTHING, len(self.waiting) - 1
        for place in range(last, -1, -1):
            if samples[place + 1] is not True or not waiting[place]:
                continue
            moved = [
                Partial(start_ms, self._names(names, place + 1, event))
                for start_ms, names in waiting[place]
                if start_ms > oldest_ms
            ]
            waiting[place] = []
            if place < last:
                waiting[place + 1] += moved
            else:
                found = [
                    Match("match", event[0], start_ms, names, NO_NAMES) for start_ms, names in moved
                ]
        self.is_idle = not any(waiting)
        return found

    def _names(self, before: Mapping[str, Value], place: int, event: Event) -> Mapping[str, Value]:
        part = self.plan.steps[place].parts[0]
        memory = part.memory
        if memory.pick.is_time_only:
            return {**before, part.id: {"ts": event[0]}}
        return {**before, part.id: memory.add(UNKNOWN, names_of_event(event))}

    def _make_room(self, time_ms: int) -> None:
        """Drop what waits in vain and, if that is not enough, the oldest."""
        oldest_ms = time_ms - self.plan.within_ms
        self.waiting = [
            [partial for partial in partials if partial.start_ms > oldest_ms]
            for partials in self.waiting
        ]
        if sum(map(len, self.waiting)) > self.plan.partials_max:
            del next(partials for partials in reversed(self.waiting) if partials)[0]
            self.dropped += 1

    def _clear(self) -> None:
        self.waiting = [[] for _ in self.waiting]
        self.is_idle = True

    def pack(self) -> list[Value]:
        """Its state as plain values."""
        return [[list(partial) for partial in partials] for partials in self.waiting]

    def unpack(self, packed: list[Value]) -> None:
        """Become what `pack` was called on."""
        self.waiting = [[Partial(*partial) for partial in partials] for partials in packed]
        self.is_idle = not any(self.waiting)
