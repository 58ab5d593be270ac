"""Which kind of track runs which detector."""

from __future__ import annotations

from gateway.rules.patterns.absence_tracks import AbsenceTrack
from gateway.rules.patterns.absences import AbsencePlan
from gateway.rules.patterns.sequence_tracks import SequenceTrack
from gateway.rules.patterns.sequences import SequencePlan
from gateway.rules.plans import RulePlan
from gateway.rules.tracks import ConditionTrack, Track

TRACK_TYPES: dict[type, type[Track]] = {
    AbsencePlan: AbsenceTrack,
    SequencePlan: SequenceTrack,
}


def track_type(plan: RulePlan) -> type[Track]:
    """The kind of track for a rule."""
    return ConditionTrack if plan.pattern is None else TRACK_TYPES[type(plan.pattern)]
