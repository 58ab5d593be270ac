from gateway.rules.detectors import track_type
from gateway.rules.patterns.absence_tracks import AbsenceTrack
from gateway.rules.patterns.sequence_tracks import SequenceTrack
from gateway.rules.plans import RulePlan
from gateway.rules.tracks import ConditionTrack
from tests.harness.rule_files import load_one


def test_each_detector_has_its_kind_of_track():
    condition = load_one("- {id: a, from: t, when: payload.x}")
    absent = load_one("- {id: a, from: t, absent: {for: 5m}}")
    assert track_type(RulePlan(condition, 0)) is ConditionTrack
    assert track_type(RulePlan(absent, 0)) is AbsenceTrack
    steps = "{within: 1m, steps: [{when: payload.x}, {when: payload.y}]}"
    sequence = load_one(f"- {{id: a, from: t, sequence: {steps}}}")
    assert track_type(RulePlan(sequence, 0)) is SequenceTrack
