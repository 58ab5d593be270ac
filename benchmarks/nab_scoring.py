"""The score of the Numenta Anomaly Benchmark, from its published description.

A detection inside a labelled window counts by how early it is: a sigmoid of its place, nearly 1 at
the window's start, 0 at its end. Only the first in each window counts. One outside costs something,
little just behind a window and the whole price far from it. A window without detection costs too.
The sum is scaled so that 0 is a detector that says nothing, and 100 one that finds each window at
once and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

PROBATION_SHARE = 0.15
PROBATION_ROWS_MAX = 750
STEEPNESS = 5.0
FAR = 3.0
"""So many window lengths behind a window a detection has nothing to do with it."""


class Profile(NamedTuple):
    """What a found window is worth, a false detection costs, and a missed window costs."""

    name: str
    hit: float
    false: float
    missed: float


PROFILES = (
    Profile("standard", 1.0, 0.11, 1.0),
    Profile("reward_low_FP_rate", 1.0, 0.22, 1.0),
    Profile("reward_low_FN_rate", 1.0, 0.11, 2.0),
)


class Labels(NamedTuple):
    """A series: how many rows it has, and its windows as first and last row."""

    rows: int
    windows: Sequence[tuple[int, int]]

    @property
    def probation(self) -> int:
        """Rows at the start in which nothing counts."""
        return min(math.floor(PROBATION_SHARE * self.rows), PROBATION_ROWS_MAX)


class Tally(NamedTuple):
    """What the detections in one series, or in several, came to."""

    score: float = 0.0
    found: int = 0
    windows: int = 0
    false: int = 0

    def __add__(self, other: object) -> Tally:
        if not isinstance(other, Tally):
            return NotImplemented
        return Tally(
            self.score + other.score,
            self.found + other.found,
            self.windows + other.windows,
            self.false + other.false,
        )


def tally(labels: Labels, detections: Sequence[int], profile: Profile) -> Tally:
    """Weigh the rows that were detected, in ascending order."""
    counted = [row for row in detections if row >= labels.probation]
    score, found = 0.0, 0
    for first, last in labels.windows:
        inside = [row for row in counted if first <= row <= last]
        if inside:
            place = -(last - inside[0] + 1) / (last - first + 1)
            score += profile.hit * sigmoid(place) / sigmoid(-1.0)
            found += 1
        else:
            score -= profile.missed
    outside = [
        row for row in counted if not any(first <= row <= last for first, last in labels.windows)
    ]
    score += sum(profile.false * weight_outside(labels, row) for row in outside)
    return Tally(score, found, len(labels.windows), len(outside))


def weight_outside(labels: Labels, row: int) -> float:
    """What a false detection weighs: from 0 just behind a window to -1."""
    before = [window for window in labels.windows if window[1] < row]
    if not before:
        return -1.0
    first, last = before[-1]
    return sigmoid((row - last) / max(1, last - first))


def sigmoid(place: float) -> float:
    """1 far before the end of a window, 0 at its end, -1 far behind; -1 is a window's start."""
    return -1.0 if place > FAR else 2.0 / (1.0 + math.exp(STEEPNESS * place)) - 1.0


def scaled(total: Tally, profile: Profile) -> float:
    """The score of a whole corpus, between what silence and what perfection gets; 0 without one."""
    silent = -profile.missed * total.windows
    perfect = profile.hit * total.windows
    return 100.0 * (total.score - silent) / (perfect - silent) if total.windows else 0.0
