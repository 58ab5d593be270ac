from __future__ import annotations

from gateway.cli.live_differences import LiveDifferences
from gateway.rules import Step

TOLERANCE_MS = 1_000


def step(event, time_ms, key="m1", severity="warning"):
    return Step("hot", key, event, time_ms, severity, "hot")


def kinds(changes):
    return [change.kind for change in changes]


def test_what_both_raise_is_no_difference():
    live = LiveDifferences(TOLERANCE_MS)
    for side in ("old", "new"):
        live.take(side, step("raised", 0), 0)
        live.take(side, step("cleared", 500), 500)
    assert live.settle(10_000) == live.rest() == []


def test_a_difference_is_told_once_it_is_certain_and_only_once():
    live = LiveDifferences(TOLERANCE_MS)
    live.take("new", step("raised", 0), 0)
    assert live.settle(999) == []
    assert kinds(live.settle(1_000)) == ["only_new"]
    live.take("new", step("cleared", 5_000), 5_000)
    assert live.settle(10_000) == []


def test_an_alarm_that_the_other_raises_later_is_shifted():
    live = LiveDifferences(TOLERANCE_MS)
    live.take("old", step("raised", 0), 0)
    assert kinds(live.settle(2_000)) == ["only_old"]
    live.take("new", step("raised", 3_000), 3_000)
    assert kinds(live.settle(4_000)) == ["shifted"]
    for side in ("old", "new"):
        live.take(side, step("cleared", 6_000), 6_000)
    assert live.settle(9_000) == []


def test_an_end_that_comes_apart_is_told_with_how_far():
    live = LiveDifferences(TOLERANCE_MS)
    for side, end_ms in (("old", 5_000), ("new", 5_400)):
        live.take(side, step("raised", 0), 0)
        live.take(side, step("cleared", end_ms), end_ms)
    (change,) = live.settle(9_000)
    assert (change.kind, change.old.end_ms, change.new.end_ms) == ("shifted", 5_000, 5_400)


def test_another_severity_is_a_difference():
    live = LiveDifferences(TOLERANCE_MS)
    for side in ("old", "new"):
        live.take(side, step("raised", 0), 0)
    live.take("new", step("changed", 2_000, severity="critical"), 2_000)
    (change,) = live.settle(5_000)
    assert (change.kind, change.new.severity) == ("shifted", "critical")


def test_keys_do_not_mix():
    live = LiveDifferences(TOLERANCE_MS)
    live.take("old", step("raised", 0, "m1"), 0)
    live.take("new", step("raised", 0, "m2"), 0)
    assert kinds(live.settle(1_000)) == ["only_old", "only_new"]


def test_the_rest_is_told_at_the_end():
    live = LiveDifferences(TOLERANCE_MS)
    live.take("new", step("raised", 0), 0)
    assert kinds(live.rest()) == ["only_new"]
    assert live.rest() == []


def test_no_more_are_pending_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr("gateway.cli.live_differences.PENDING_MAX", 2)
    live = LiveDifferences(TOLERANCE_MS)
    for key in ("a", "b", "c"):
        live.take("new", step("raised", 0, key), 0)
    assert live.is_cut
    assert len(live.settle(1_000)) == 2


def test_what_is_over_and_told_makes_room():
    live = LiveDifferences(TOLERANCE_MS)
    for number in range(100):
        live.take("new", step("raised", number), number)
        live.take("new", step("cleared", number), number)
    assert len(live.rest()) == 100
    assert live._count == 0
