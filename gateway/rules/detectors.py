"""Which kind of track runs which detector."""

from __future__ import annotations

from gateway.rules.anomalies.anomaly_tracks import AnomalyTrack
from gateway.rules.anomalies.plans import AnomalyPlan
from gateway.rules.emitting_tracks import EmittingTrack
from gateway.rules.join_tracks import JoinTrack
from gateway.rules.patterns.absence_tracks import AbsenceTrack
from gateway.rules.patterns.absences import AbsencePlan
from gateway.rules.patterns.sequence_tracks import SequenceTrack
from gateway.rules.patterns.sequences import SequencePlan
from gateway.rules.plans import RulePlan
from gateway.rules.tracks import ConditionTrack, Track

TRACK_TYPES: dict[type, type[Track]] = {
    AbsencePlan: AbsenceTrack,
    AnomalyPlan: AnomalyTrack,
    SequencePlan: SequenceTrack,
}


def track_type(plan: RulePlan) -> type[Track]:
    """The kind of track for a rule."""
    if plan.pattern is not None:
        return TRACK_TYPES[type(plan.pattern)]
    if plan.join is not None:
        return JoinTrack
    return EmittingTrack if plan.emits_each else ConditionTrack
