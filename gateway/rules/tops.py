"""`topk(by, value, n)`: the greatest values of a window, one of each group.

A sample is the list `[by, value]`; a result is a list of maps with `by` and `value`, the greatest
first. Groups are told apart as `distinct` does it: 5 and 5.0 are one, "5" is another.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.rules.folds import Extreme, Sample, distinct_name
from gateway.rules.ranking import Candidate, best
from gateway.rules.values import UNKNOWN, Value


class Top:
    """The greatest values of a moving window."""

    __slots__ = ("count", "groups", "take")
    mark = 0

    def __init__(self, take: float) -> None:
        self.take = int(take)
        self.count = 0
        self.groups: dict[str, tuple[Value, Extreme]] = {}

    def push(self, time_ms: int, value: Value) -> None:
        by, score = value
        name = distinct_name(by)
        group = self.groups.get(name)
        if group is None:
            group = self.groups[name] = (_settled(by), Extreme(is_max=True))
        group[1].push(time_ms, score)
        self.count += 1

    def pop(self, value: Value) -> None:
        by, score = value
        name = distinct_name(by)
        greatest = self.groups[name][1]
        greatest.pop(score)
        if not greatest.count:
            del self.groups[name]
        self.count -= 1

    def result(self, now_ms: int) -> Value:
        if not self.count:
            return UNKNOWN
        return _listed(
            best(
                (
                    Candidate(greatest.result(now_ms), name, by)
                    for name, (by, greatest) in self.groups.items()
                ),
                self.take,
            )
        )

    def refill(self, samples: Iterable[Sample], _mark: int) -> None:
        for time_ms, value in samples:
            self.push(time_ms, value)


class RunningTop:
    """The greatest values of a window that only grows.

    It keeps no more groups than it takes: one that has fallen out comes back only by a value that
    is greater, and then that is its greatest.
    """

    __slots__ = ("best", "count", "take")

    def __init__(self, take: float) -> None:
        self.take = int(take)
        self.count = 0
        self.best: dict[str, Candidate[Value]] = {}

    def push(self, _time_ms: int, value: Value) -> None:
        by, score = value
        name = distinct_name(by)
        known = self.best.get(name)
        self.count += 1
        if known is not None and known.score >= score:
            return
        self.best[name] = Candidate(score, name, _settled(by))
        if len(self.best) > self.take:
            del self.best[max(self.best.values(), key=lambda one: (-one.score, one.name)).name]

    def result(self, _now_ms: int) -> Value:
        return _listed(best(self.best.values(), self.take)) if self.count else UNKNOWN

    def pack(self) -> list[Value]:
        return [self.count, [list(one) for one in self.best.values()]]

    def unpack(self, packed: list[Value]) -> None:
        self.count, rows = packed
        self.best = {name: Candidate(score, name, by) for score, name, by in rows}


def _listed(candidates: list[Candidate[Value]]) -> Value:
    return [{"by": one.item, "value": one.score} for one in candidates]


def _settled(by: Value) -> Value:
    """One value for all that count as the same group."""
    return int(by) if isinstance(by, float) and by.is_integer() else by
