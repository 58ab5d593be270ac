from __future__ import annotations

from gateway.rules.counters import FAULTS_MAX, FAULTS_WITHIN_MS, FaultLimit, RuleCounters


def test_what_is_packed_comes_back():
    counters, again = RuleCounters(evaluated=7, faults=1), RuleCounters()
    counters.turn_away(is_late=True, example=("t", "d", 5))
    counters.turn_away(is_late=False, example=("t", "d", 6))
    again.unpack({**counters.pack(), "of another version": 3})
    assert again == counters
    assert (again.late, again.early, again.late_example) == (1, 1, ("t", "d", 5))


def test_so_many_faults_within_a_minute_are_too_many():
    limit = FaultLimit()
    assert [limit.note(now_ms) for now_ms in range(FAULTS_MAX)] == [False] * (FAULTS_MAX - 1) + [
        True
    ]


def test_faults_that_lie_further_apart_are_borne():
    limit = FaultLimit()
    step_ms = FAULTS_WITHIN_MS // (FAULTS_MAX - 1)
    assert not any(limit.note(number * step_ms) for number in range(20))
    assert any(limit.note(10**9 + number * (step_ms - 1)) for number in range(20))
