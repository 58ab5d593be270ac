"""Alarms as episodes, from their raise to their end, and how the episodes of two rule sets differ.

Two episodes of one rule and key are the same alarm when they overlap, or lie close together; so an
alarm that comes a little earlier counts as shifted, not as one that vanished and one that is new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from gateway.rules.instants import NEVER
from gateway.rules.outputs import Transition
from gateway.rules.spec import SEVERITIES, Severity
from gateway.rules.watermarks import parse_event_time

EPISODES_MAX: Final = 1_000_000
ENDS: Final = frozenset({"cleared", "latched"})
Identity = tuple[str, str]


class Step(NamedTuple):
    """What counts of a step in the life of an alarm."""

    rule: str
    key: str
    event: str
    time_ms: int
    severity: Severity
    message: str

    @classmethod
    def of(cls, transition: Transition) -> Step:
        """The step that the engine has just said."""
        one = transition
        return cls(one.rule, one.key, one.event, one.time_ms, one.severity, one.message)

    @classmethod
    def read(cls, alert: Mapping[str, Any]) -> Step | None:
        """The step that a record of the stream `alerts` tells; None when it tells none."""
        time_ms = parse_event_time(alert.get("time"))
        severity = alert.get("severity")
        words = [alert.get(name) for name in ("rule", "key", "event", "message")]
        if time_ms is None or severity not in SEVERITIES:
            return None
        if not all(isinstance(word, str) for word in words):
            return None
        rule, key, event, message = map(str, words)
        return cls(rule, key, event, time_ms, severity, message)


@dataclass(frozen=True, slots=True)
class Episode:
    """One alarm: from its raise to its end, with the highest severity that it had.

    `end_ms` is None while it stands.
    """

    rule: str
    key: str
    start_ms: int
    end_ms: int | None
    severity: Severity
    message: str


class Episodes:
    """Gathers the episodes of some rules, step by step.

    What began before the first step is not counted: only its end is seen. Beyond `EPISODES_MAX`
    nothing is gathered, and `is_cut` says so.
    """

    def __init__(self) -> None:
        self._standing: dict[Identity, Episode] = {}
        self._over: list[Episode] = []
        self.is_cut = False

    def take(self, step: Step) -> None:
        """Take in the next step."""
        identity = (step.rule, step.key)
        standing = self._standing.get(identity)
        if step.event == "raised":
            if len(self._over) + len(self._standing) >= EPISODES_MAX:
                self.is_cut = True
                return
            if standing is not None:
                self._over.append(standing)  # its end was lost
            self._standing[identity] = Episode(
                step.rule, step.key, step.time_ms, None, step.severity, step.message
            )
        elif standing is not None and step.event in ENDS:
            del self._standing[identity]
            self._over.append(replace(standing, end_ms=step.time_ms))
        elif standing is not None and step.event == "changed":
            highest = max(standing.severity, step.severity, key=SEVERITIES.index)
            self._standing[identity] = replace(standing, severity=highest)

    def all(self) -> list[Episode]:
        """Every episode, in the order of rule, key and time."""
        found = [*self._over, *self._standing.values()]
        return sorted(found, key=lambda one: (one.rule, one.key, one.start_ms))


class Pair(NamedTuple):
    """An alarm that both sets raise."""

    old: Episode
    new: Episode

    @property
    def is_same(self) -> bool:
        """Whether it comes and goes at the same moments, and is as severe."""
        return self.edges == (0, 0) and self.old.severity == self.new.severity

    @property
    def edges(self) -> tuple[int | None, int | None]:
        """By how much later the new set raises and clears, in ms.

        None where just one of the sets clears.
        """
        old_ms, new_ms = self.old.end_ms, self.new.end_ms
        if old_ms is None or new_ms is None:
            return self.new.start_ms - self.old.start_ms, 0 if old_ms is new_ms else None
        return self.new.start_ms - self.old.start_ms, new_ms - old_ms


class Difference(NamedTuple):
    """How the episodes of two sets differ."""

    pairs: tuple[Pair, ...]
    only_old: tuple[Episode, ...]
    only_new: tuple[Episode, ...]

    @property
    def is_nothing(self) -> bool:
        """Whether both sets say just the same."""
        return not (self.only_old or self.only_new) and all(pair.is_same for pair in self.pairs)


def compare(old: Iterable[Episode], new: Iterable[Episode], tolerance_ms: int) -> Difference:
    """Pair the episodes of two sets; `tolerance_ms` may lie between two that are one alarm.

    Those that are equal are paired first, then those that overlap, then those that are close.
    """
    old_by, new_by = _by_identity(old), _by_identity(new)
    pairs: list[Pair] = []
    only_old: list[Episode] = []
    only_new: list[Episode] = []
    for identity in sorted(old_by.keys() | new_by.keys()):
        olds, news = old_by.get(identity, []), new_by.get(identity, [])
        spans = {_span(one) for one in olds} & {_span(one) for one in news}
        equal_news = [one for one in news if _span(one) in spans]
        found = list(zip([one for one in olds if _span(one) in spans], equal_news, strict=False))
        olds, news = _left_over(found, olds, news)
        for allowed_ms in (0, tolerance_ms):
            found += _matched(olds, news, allowed_ms)
            olds, news = _left_over(found, olds, news)
        pairs += sorted(map(Pair._make, found), key=lambda pair: pair.old.start_ms)
        only_old += olds
        only_new += news
    return Difference(tuple(pairs), tuple(only_old), tuple(only_new))


def _by_identity(episodes: Iterable[Episode]) -> dict[Identity, list[Episode]]:
    found: dict[Identity, list[Episode]] = {}
    for episode in sorted(episodes, key=lambda one: one.start_ms):
        found.setdefault((episode.rule, episode.key), []).append(episode)
    return found


def _span(episode: Episode) -> tuple[int, int | None]:
    return episode.start_ms, episode.end_ms


def _left_over(
    found: Iterable[tuple[Episode, Episode]], olds: Sequence[Episode], news: Sequence[Episode]
) -> tuple[list[Episode], list[Episode]]:
    """What is not yet paired."""
    taken = {id(one) for pair in found for one in pair}
    left = ([one for one in own if id(one) not in taken] for own in (olds, news))
    return next(left), next(left)


def _matched(
    olds: Sequence[Episode], news: Sequence[Episode], tolerance_ms: int
) -> Iterator[tuple[Episode, Episode]]:
    """Go along both in order of time, and pair what meets."""
    index = other = 0
    while index < len(olds) and other < len(news):
        old, new = olds[index], news[other]
        if _meet(old, new, tolerance_ms):
            index, other = index + 1, other + 1
            yield old, new
        elif _end_ms(old) < new.start_ms:
            index += 1
        else:
            other += 1


def _meet(old: Episode, new: Episode, tolerance_ms: int) -> bool:
    first, second = sorted((old, new), key=lambda one: one.start_ms)
    return second.start_ms - _end_ms(first) <= tolerance_ms


def _end_ms(episode: Episode) -> int:
    return NEVER if episode.end_ms is None else episode.end_ms
