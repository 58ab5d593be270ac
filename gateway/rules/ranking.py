"""The best of many: one order for everything that ranks.

The first is the one with the greatest score, or the least where `asc` is asked for; of equal scores
the first by name. So the same things have the same order, in whatever order they came.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest
from typing import Generic, Literal, NamedTuple, TypeVar

Item = TypeVar("Item")


class Candidate(NamedTuple, Generic[Item]):
    """Something that can be ranked."""

    score: float
    name: str
    item: Item


def best(
    candidates: Iterable[Candidate[Item]], take: int, order: Literal["desc", "asc"] = "desc"
) -> list[Candidate[Item]]:
    """The `take` best, the best first."""
    sign = -1 if order == "desc" else 1
    return nsmallest(take, candidates, key=lambda one: (sign * one.score, one.name))
