"""The best of what a rule would emit at one moment, across its keys (RULES S5, `emit.rank`).

A moment is the end of a window. Its candidates wait until every key has come past it: the time of
such a rule is that of partitions, so that is known. Of each group only the best are kept.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from gateway.rules.aggregates import is_number
from gateway.rules.instants import NEVER
from gateway.rules.spec import RankSpec, RuleSpec, Scope
from gateway.rules.values import UNKNOWN, Value

RANK_FIELD = "rank"
MOMENTS_MAX = 1_000


class Entrant(NamedTuple):
    """A record that may be among the best; of equal scores the first key is better."""

    order: float
    key: str
    record: dict[str, Any]


class Ranking:
    """What one rule would emit at the moments that are not over yet."""

    __slots__ = ("by", "closed_ms", "is_dirty", "moments", "per", "sign", "take")

    def __init__(self, spec: RankSpec) -> None:
        self.by = spec.by.evaluate
        self.per = spec.per.evaluate if spec.per is not None else None
        self.take = spec.take
        self.sign = -1 if spec.order == "desc" else 1
        self.moments: dict[int, dict[str, list[Entrant]]] = {}
        self.closed_ms = -1
        self.is_dirty = False

    @property
    def first_ms(self) -> int:
        """The first moment that is not over; NEVER when there is none."""
        return min(self.moments, default=NEVER)

    @property
    def must_close_ms(self) -> int:
        """The moment up to which there is no more room, -1 when there is."""
        return min(self.moments) if len(self.moments) > MOMENTS_MAX else -1

    def enter(self, time_ms: int, key: str, scope: Scope, record: Mapping[str, Any]) -> bool:
        """Take in what a key would emit; False when the moment is over.

        What has no score or no group is left out.
        """
        if time_ms <= self.closed_ms:
            return False
        score = self.by(scope)
        group = self.per(scope) if self.per is not None else None
        if not is_number(score) or group is UNKNOWN:
            return True
        self.is_dirty = True
        entrants = self.moments.setdefault(time_ms, {}).setdefault(_text_of(group), [])
        insort(entrants, Entrant(self.sign * score, key, dict(record)), key=lambda one: one[:2])
        del entrants[self.take :]
        return True

    def close(self, until_ms: int) -> list[tuple[int, str, dict[str, Any]]]:
        """Take out what is over: time, key and record, the best of each group first.

        In the order of the moments, then of the groups.
        """
        found = []
        for time_ms in sorted(one for one in self.moments if one <= until_ms):
            groups = self.moments.pop(time_ms)
            for _, entrants in sorted(groups.items()):
                for place, (_, key, record) in enumerate(entrants, 1):
                    found.append((time_ms, key, {**record, RANK_FIELD: place}))
            self.closed_ms = time_ms
            self.is_dirty = True
        return found

    def pack(self) -> list[Value]:
        """Its state as plain values."""
        moments = [
            [time_ms, [[group, entrants] for group, entrants in groups.items()]]
            for time_ms, groups in self.moments.items()
        ]
        return [self.closed_ms, moments]

    def unpack(self, packed: list[Value]) -> None:
        """Become what `pack` was called on."""
        self.closed_ms, moments = packed
        self.moments = {
            time_ms: {
                group: [Entrant(order, key, record) for order, key, record in entrants]
                for group, entrants in groups
            }
            for time_ms, groups in moments
        }


def ranking_of(spec: RuleSpec) -> Ranking | None:
    """The ranking of a rule; None when it emits all there is."""
    return Ranking(spec.emit.rank) if spec.emit is not None and spec.emit.rank else None


def on_shared_time(spec: RuleSpec) -> RuleSpec:
    """The rule with the time on which it runs: what compares keys needs one for all of them."""
    if spec.emit is None or spec.emit.rank is None:
        return spec
    return replace(spec, time=replace(spec.time, watermark="partition"))


def _text_of(group: Value) -> str:
    return orjson.dumps(group, option=orjson.OPT_SORT_KEYS).decode()
