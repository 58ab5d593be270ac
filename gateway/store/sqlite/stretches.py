"""Arithmetic on stretches of offsets: half-open, in order, none touching another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Stretch = tuple[int, int]


def merged(stretches: Iterable[Stretch]) -> list[Stretch]:
    """The same offsets as as few stretches as will do."""
    whole: list[Stretch] = []
    for start, stop in sorted(stretches):
        if whole and start <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(stop, whole[-1][1]))
        elif stop > start:
            whole.append((start, stop))
    return whole


def count_between(start: int, stop: int, stretches: Sequence[Stretch]) -> int:
    """How many offsets in `start` … `stop` - 1 lie in one of the stretches."""
    return sum(max(min(stop, own[1]) - max(start, own[0]), 0) for own in stretches)


def uncovered(start: int, stop: int, stretches: Sequence[Stretch]) -> list[Stretch]:
    """What of `start` … `stop` - 1 lies in none of the stretches."""
    rest = []
    for own_start, own_stop in stretches:
        if own_start >= stop:
            break
        if own_start > start:
            rest.append((start, own_start))
        start = max(start, own_stop)
    return [*rest, (start, stop)] if start < stop else rest
