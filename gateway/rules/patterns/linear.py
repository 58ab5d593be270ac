"""Two or three steps of one event each, in a row: the partial matches of one key, the fast way.

All runs that wait for one step are alike: the event that one of them takes, all of them take. So
there is a list for each step, and nothing is asked of a run until its step is met. It does what
`gateway.rules.patterns.automaton` does, and is tested against it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.rules.event_names import Event, names_of_event
from gateway.rules.instants import NEVER
from gateway.rules.patterns.matches import NOTHING, Match
from gateway.rules.patterns.runs import NO_NAMES
from gateway.rules.patterns.sequences import SequencePlan
from gateway.rules.values import UNKNOWN, Value

Partial = tuple[int, "Mapping[str, Value] | None"]
"""A run that waits for its next step: its start, and the names it knows.

Where the first step remembers nothing but its time, nothing is written down for it.
"""


class LinearRuns:
    """The runs of one key, by the step that they wait for."""

    __slots__ = ("dropped", "due_ms", "is_idle", "is_time_only", "plan", "waiting")

    def __init__(self, plan: SequencePlan) -> None:
        self.plan = plan
        self.waiting: list[list[Partial]] = [[] for _ in plan.steps[1:]]
        self.is_time_only = plan.steps[0].parts[0].memory.pick.is_time_only
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
            first = self.waiting[0]
            time_ms = event[0]
            names = None if self.is_time_only else self._names(NO_NAMES, 0, event)
            first.append((time_ms, names))
            self.is_idle = False
            oldest_ms = time_ms - self.plan.within_ms
            if first[0][0] <= oldest_ms:
                self._forget(first, oldest_ms)
            if len(first) + self._later() > self.plan.partials_max:
                self._make_room(time_ms)
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
                (start_ms, self._names(self._known(start_ms, names), place + 1, event))
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

    def _known(self, start_ms: int, names: Mapping[str, Value] | None) -> Mapping[str, Value]:
        """The names of a run, those of its first step included."""
        if names is not None:
            return names
        return {self.plan.steps[0].parts[0].id: {"ts": start_ms}}

    def _later(self) -> int:
        """How many runs wait for a step after the second."""
        return sum(map(len, self.waiting[1:])) if len(self.waiting) > 1 else 0

    @staticmethod
    def _forget(partials: list[Partial], oldest_ms: int) -> None:
        """Drop what waits in vain; runs wait in the order of their starts."""
        count = 1
        while count < len(partials) and partials[count][0] <= oldest_ms:
            count += 1
        del partials[:count]

    def _make_room(self, time_ms: int) -> None:
        """Drop what waits in vain and, if that is not enough, the oldest."""
        oldest_ms = time_ms - self.plan.within_ms
        self.waiting = [
            [partial for partial in partials if partial[0] > oldest_ms] for partials in self.waiting
        ]
        if sum(map(len, self.waiting)) > self.plan.partials_max:
            del next(partials for partials in reversed(self.waiting) if partials)[0]
            self.dropped += 1

    def _clear(self) -> None:
        self.waiting = [[] for _ in self.waiting]
        self.is_idle = True

    def pack(self) -> list[Value]:
        """Its state as plain values."""
        return [
            [[start_ms, self._known(start_ms, names)] for start_ms, names in partials]
            for partials in self.waiting
        ]

    def unpack(self, packed: list[Value]) -> None:
        """Become what `pack` was called on."""
        self.waiting = [[(start_ms, names) for start_ms, names in partials] for partials in packed]
        self.is_idle = not any(self.waiting)
