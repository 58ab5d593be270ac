from __future__ import annotations

from types import SimpleNamespace

from gateway.rules.instants import NEVER
from gateway.rules.timelines import NOTHING_DUE, Timeline


def track(due_ms, rule, *, is_stopped=False):
    plan = SimpleNamespace(spec=SimpleNamespace(id=rule), is_stopped=is_stopped)
    return SimpleNamespace(due_ms=due_ms, plan=plan)


def test_the_next_timer_is_the_earliest_and_of_equals_the_first_by_rule():
    tracks = [track(9, "a"), None, track(5, "c"), track(5, "b"), track(NEVER, "d")]
    timeline = Timeline("k", "k", tracks)
    instant, first = timeline.next_timer()
    assert (instant, first) == ((5, 0, "b"), tracks[3])
    assert timeline.earliest_due() == 5


def test_a_rule_that_was_stopped_has_no_timers():
    timeline = Timeline("k", "k", [track(5, "a", is_stopped=True)])
    assert timeline.next_timer() == (NOTHING_DUE, None)


def test_at_one_moment_timers_come_before_events_that_were_held():
    timeline = Timeline("k", "k", [track(5, "a")])
    timeline.held = [(5, 0, None)]
    assert timeline.next_instant() == (5, 0, "a")
    timeline.held = [(4, 0, None)]
    assert timeline.next_instant() == (4, 1, "")
