from __future__ import annotations

from itertools import pairwise

from firmware_sim.faults import FAULT_TEXTS, MOMENTARY, FaultKind, FaultPlan, FaultSpec

RECONNECT = FaultSpec(FaultKind.RECONNECT, every_ms=1_000)
SILENCE = FaultSpec(FaultKind.SILENCE, every_ms=3_000, lasts_ms=500)


def strikes(plan, end_ms):
    """Every strike before `end_ms`, with its time."""
    found = []
    while plan.next_due_ms is not None and plan.next_due_ms < end_ms:
        at_ms = plan.next_due_ms
        found += [(at_ms, spec.kind) for spec in plan.strike(at_ms)]
    return found


def test_a_plan_is_the_same_however_it_is_asked():
    stepwise = strikes(FaultPlan([RECONNECT, SILENCE], key=1, rank=3, start_ms=0), 60_000)
    impatient = FaultPlan([RECONNECT, SILENCE], key=1, rank=3, start_ms=0)
    found = []
    for now_ms in range(60_000):
        found += [(now_ms, spec.kind) for spec in impatient.strike(now_ms)]
    assert found == stepwise


def test_strikes_come_about_as_often_as_they_say():
    times = [at for at, _ in strikes(FaultPlan([RECONNECT], 1, 0, 0), 1_000_000)]
    gaps = [after - before for before, after in pairwise(times)]
    assert 0 <= times[0] < 1_000
    assert all(500 <= gap <= 1_500 for gap in gaps)
    assert 950 < sum(gaps) / len(gaps) < 1_050


def test_devices_are_struck_at_times_of_their_own():
    plans = [FaultPlan([RECONNECT], 1, rank, 0) for rank in range(20)]
    assert len({plan.next_due_ms for plan in plans}) > 15


def test_a_share_spares_the_other_devices():
    half = FaultSpec(FaultKind.RECONNECT, 1_000, share=0.5)
    struck = [FaultPlan([half], 1, rank, 0).next_due_ms is not None for rank in range(100)]
    assert 48 <= sum(struck) <= 52


def test_a_late_caller_gets_each_fault_once():
    plan = FaultPlan([RECONNECT], 1, 0, 0)
    assert [spec.kind for spec in plan.strike(100_000)] == [FaultKind.RECONNECT]
    assert plan.next_due_ms > 100_000


def test_no_faults_are_never_due():
    assert FaultPlan([], 1, 0, 0).next_due_ms is None


def test_every_fault_is_explained():
    assert set(FAULT_TEXTS) == set(FaultKind)
    assert set(FaultKind) > MOMENTARY
