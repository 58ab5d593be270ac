"""What a sequence means, by definition: every way in which the events of a history fit its steps.

The slow twin of the automaton. It knows nothing of partial matches that go on from event to event:
whether a step may take an event is asked of the whole history each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import NamedTuple


@dataclass(frozen=True)
class Forbidden:
    """A `not`."""

    letters: str
    within: float | None = None
    is_strict: bool = False


@dataclass(frozen=True)
class Wanted:
    """A step; more than one part makes it an `all_of`."""

    parts: tuple[str, ...]
    contiguity: str = "relaxed"
    least: int = 1
    most: float = 1
    is_skippable: bool = False
    until: str = ""
    within: float = inf
    guards: tuple[Forbidden, ...] = ()

    @property
    def is_group(self):
        return len(self.parts) > 1


class Taken(NamedTuple):
    """An event in its place."""

    no: int
    place: int
    part: int


class Twin:
    """One sequence over one history of (time, letter)."""

    def __init__(self, steps, events, *, within=inf, skip="past_last", last_guards=()):
        self.steps = steps
        self.events = events
        self.within = within
        self.skip = skip
        self.last_guards = last_guards

    def matches(self):
        """The chains that are matches, in the order in which they are told, with their times."""
        found = []
        for start in range(len(self.events)):
            if self._may_begin(start):
                found += self._from((), start, start + 1)
        # Timers of a moment come before its events, and longer chains before their beginnings.
        found.sort(key=lambda item: (*item[:2], [*item[2], (inf, 0, 0)]))
        told = []
        for time, _, chain in found:
            if not any(self._skips(match, chain) for _, match in told):
                told.append((time, chain))
        return told

    def _skips(self, match, chain):
        if self.skip == "past_last":
            return chain[0].no <= match[-1].no
        return self.skip == "to_next" and chain[0].no == match[0].no

    def _may_begin(self, start):
        for guard in self.steps[0].guards:
            broken = [0, *(no for no in range(start + 1) if self.events[no][1] in guard.letters)]
            if self.events[start][0] - self.events[broken[-1]][0] < guard.within:
                return False
        return True

    def _from(self, chain, first, stop):
        """Every match that goes on from a chain, its next event among `first` to `stop`."""
        for no in range(first, stop):
            for taken in self._ways(chain, no):
                longer = (*chain, taken)
                yield from self._end(longer)
                yield from self._from(longer, no + 1, len(self.events))
                if self.steps[taken.place].contiguity != "any":
                    return

    def _end(self, chain):
        if not self._can_end(chain):
            return
        last, first = self.events[chain[-1].no][0], self.events[chain[0].no][0]
        if not self.last_guards:
            yield last, chain[-1].no, chain
            return
        over = max(
            first + self.within if guard.within is None else last + guard.within
            for guard in self.last_guards
        )
        for no in range(chain[-1].no + 1, len(self.events)):
            if self.events[no][0] >= over:
                break
            is_taken = any(
                self.steps[way.place].contiguity != "any" for way in self._ways(chain, no)
            )
            if is_taken or self._broken(chain, no) <= len(self.steps):
                return
        yield over, -1, chain

    def _count(self, chain):
        return sum(taken.place == chain[-1].place for taken in chain)

    def _is_met(self, chain):
        return self._count(chain) >= self.steps[chain[-1].place].least

    def _can_end(self, chain):
        return self._is_met(chain) and all(
            s.is_skippable for s in self.steps[chain[-1].place + 1 :]
        )

    def _ahead(self, place):
        for later in range(place + 1, len(self.steps)):
            yield later
            if not self.steps[later].is_skippable:
                return

    def _broken(self, chain, no):
        """The first place to which a `not` closes the way at this event."""
        if not self._is_met(chain):
            return inf
        places = [*self._ahead(chain[-1].place)] + [len(self.steps)] * self._can_end(chain)
        for place in places:
            guards = self.steps[place].guards if place < len(self.steps) else self.last_guards
            for guard in guards:
                waited = self.events[no][0] - self.events[chain[-1].no][0]
                is_over = guard.within is not None and waited >= guard.within
                is_next = no == chain[-1].no + 1
                is_watching = not is_over and (is_next or not guard.is_strict)
                if is_watching and self.events[no][1] in guard.letters:
                    return place
        return inf

    def _ways(self, chain, no):
        """Where the chain may take an event, the nearest first."""
        time, letter = self.events[no]
        if not chain:
            places = [(place, 0) for place in self._ahead(-1)]
        else:
            places = self._open_places(chain, no, time)
        return [
            Taken(no, place, part)
            for place, taken in places
            for part, letters in enumerate(self.steps[place].parts)
            if letter in letters and not taken >> part & 1
        ]

    def _open_places(self, chain, no, time):
        """The open steps, each with the parts of it that are taken, as bits."""
        here, last, passed = chain[-1].place, self.events[chain[-1].no][0], no - chain[-1].no - 1
        if time - self.events[chain[0].no][0] >= self.within:
            return
        between = range(chain[-1].no + 1, no + 1)
        step = self.steps[here]
        before = [taken for taken in chain if taken.place != here]
        anchor = self.events[before[-1].no if before else chain[0].no][0]
        is_closed = any(self.events[one][1] in step.until for one in between)
        if (
            self._count(chain) < step.most
            and not is_closed
            and not (step.contiguity == "strict" and passed)
            and time - anchor < step.within
        ):
            yield here, sum(1 << t.part for t in chain if t.place == here) * step.is_group
        if not self._is_met(chain):
            return
        limit = min(self._broken(chain, one) for one in between)
        for place in self._ahead(here):
            step = self.steps[place]
            is_waiting = any(
                guard.within is not None and time - last < guard.within
                for later in self.steps[here + 1 : place + 1]
                for guard in later.guards
            )
            is_torn = step.contiguity == "strict" and passed
            if place < limit and not is_torn and not is_waiting and time - last < step.within:
                yield place, 0
