"""How two rule sets differ, told while both are still at work.

An alarm of one set may have its counterpart in the other a little later, so a difference is told
once nothing has happened to its alarms for the tolerance, and told again if it becomes another one:
what was only here is shifted once the other set raises it, too. What is over and told is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Final, Literal

from gateway.cli.rule_diffs import Change, changes_of
from gateway.rules import SEVERITIES, Episode, Pair, Step, compare

PENDING_MAX: Final = 100_000
ENDS: Final = frozenset({"cleared", "latched"})
Side = Literal["old", "new"]
Identity = tuple[str, str]


@dataclass(slots=True)
class Sighting:
    """An alarm of one side, when it was last heard of, and what was told of it."""

    episode: Episode
    seen_ms: int
    told: Change | None = None


class LiveDifferences:
    """Takes the steps of both sets as they come, and says what differs once that is certain.

    Alarms beyond `PENDING_MAX` that are up or not yet certain are left out, and `is_cut` says so.
    """

    def __init__(self, tolerance_ms: int) -> None:
        """As much may lie between two steps that are one alarm."""
        self.is_cut = False
        self._tolerance_ms = tolerance_ms
        self._sightings: dict[Identity, dict[Side, list[Sighting]]] = {}
        self._due: list[tuple[int, Identity]] = []
        self._count = 0

    def take(self, side: Side, step: Step, now_ms: int) -> None:
        """Take in the next step of one side; `now_ms` never goes back."""
        identity = (step.rule, step.key)
        own = self._sightings.get(identity, {}).get(side, [])
        standing = own[-1] if own and own[-1].episode.end_ms is None else None
        if step.event == "raised":
            if not self._begin(side, step, now_ms):
                return
            if standing is not None:  # its end was lost
                standing.episode = replace(standing.episode, end_ms=step.time_ms)
        elif standing is not None and step.event in ENDS:
            standing.episode = replace(standing.episode, end_ms=step.time_ms)
            standing.seen_ms = now_ms
        elif standing is not None and step.event == "changed":
            highest = max(standing.episode.severity, step.severity, key=SEVERITIES.index)
            standing.episode = replace(standing.episode, severity=highest)
            standing.seen_ms = now_ms
        else:
            return
        heappush(self._due, (now_ms + self._tolerance_ms, identity))

    def settle(self, now_ms: int) -> list[Change]:
        """What has become certain by now, and was not told before."""
        found: list[Change] = []
        while self._due and self._due[0][0] <= now_ms:
            _, identity = heappop(self._due)
            found += self._judge(identity, now_ms - self._tolerance_ms)
        return found

    def rest(self) -> list[Change]:
        """What differs and was not told yet, certain or not: at the end."""
        last_ms = max((due_ms for due_ms, _ in self._due), default=0)
        return self.settle(last_ms)

    def _begin(self, side: Side, step: Step, now_ms: int) -> bool:
        if self._count >= PENDING_MAX:
            self.is_cut = True
            return False
        self._count += 1
        sides = self._sightings.setdefault((step.rule, step.key), {"old": [], "new": []})
        episode = Episode(step.rule, step.key, step.time_ms, None, step.severity, step.message)
        sides[side].append(Sighting(episode, now_ms))
        return True

    def _judge(self, identity: Identity, quiet_since_ms: int) -> list[Change]:
        """What differs of one alarm, where nothing has happened since a moment."""
        sides = self._sightings.get(identity)
        if sides is None:
            return []
        by_episode = {id(one.episode): one for own in sides.values() for one in own}
        old, new = ([one.episode for one in sides[side]] for side in ("old", "new"))
        difference = compare(old, new, self._tolerance_ms)
        told: list[Change] = []
        over: set[int] = set()
        changes = {id(one.either): one for one in changes_of(difference)}
        groups: list[tuple[Episode, ...]] = [(pair.new, pair.old) for pair in difference.pairs]
        groups += ((one,) for one in (*difference.only_old, *difference.only_new))
        for group in groups:
            if any(by_episode[id(one)].seen_ms > quiet_since_ms for one in group):
                continue
            change = changes.get(id(group[0]))
            if change is not None and _is_news(change, by_episode[id(group[0])].told):
                told.append(change)
            for one in group:
                by_episode[id(one)].told = change
            if all(one.end_ms is not None for one in group):
                over.update(id(one) for one in group)
        self._forget(identity, over)
        return sorted(told, key=lambda change: change.either.start_ms)

    def _forget(self, identity: Identity, over: set[int]) -> None:
        sides = self._sightings[identity]
        for side, own in sides.items():
            sides[side] = [one for one in own if id(one.episode) not in over]
        self._count -= len(over)
        if not any(sides.values()):
            del self._sightings[identity]


def _is_news(change: Change, before: Change | None) -> bool:
    """Whether a change says more than what was told of the same alarm."""
    if before is None or before.kind != change.kind:
        return True
    return change.kind == "shifted" and _shift_of(change) != _shift_of(before)


def _shift_of(change: Change) -> tuple[object, ...]:
    old, new = change.old, change.new
    if old is None or new is None:
        return ()
    return Pair(old, new).edges, old.severity, new.severity
