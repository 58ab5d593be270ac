from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rules.instants import NEVER
from gateway.rules.spec import TimeSpec
from gateway.rules.values import UNKNOWN
from gateway.rules.watermarks import BEFORE_ALL, TimePlan, parse_event_time

FIELD = SimpleNamespace(text="payload.ts", evaluate=lambda scope: scope["payload"]["ts"])


def by_event(**fields):
    return TimePlan(TimeSpec(by="event", field=FIELD, **fields))


@pytest.mark.parametrize(
    ("value", "time_ms"),
    [
        (1_385_000_000_000, 1_385_000_000_000),
        (1_385_000_000_000.6, 1_385_000_000_001),
        ("2013-12-02T21:15:00Z", 1_386_018_900_000),
        ("2013-12-02 21:15:00", 1_386_018_900_000),
        ("2013-12-02T22:15:00.250+01:00", 1_386_018_900_250),
        (-1, None),
        (10**18, None),
        (float("nan"), None),
        (float("inf"), None),
        ("yesterday", None),
        ("0001-01-01T00:00:00+23:59", None),
        (True, None),
        (None, None),
        (UNKNOWN, None),
        ([1], None),
    ],
)
def test_event_time_is_milliseconds_or_iso_text(value, time_ms):
    assert parse_event_time(value) == time_ms


def test_nothing_is_late_or_early_where_no_bound_is_written():
    assert by_event().is_timely(0, 10**12, 0)
    assert by_event().is_timely(10**13, 10**12, 0)


def test_an_event_behind_the_watermark_is_late_and_one_on_it_is_not():
    assert not by_event().is_timely(99, 500, 100)
    assert by_event().is_timely(100, 500, 100)


@pytest.mark.parametrize(
    ("time_ms", "is_timely", "adjusted"),
    [(899, False, 900), (900, True, 900), (1_050, True, 1_050), (1_051, False, 1_050)],
)
def test_late_and_early_compare_event_time_with_arrival(time_ms, is_timely, adjusted):
    plan = by_event(late_ms=100, early_ms=50)
    assert plan.is_timely(time_ms, 1_000, 0) is is_timely
    assert plan.adjusted(time_ms, 1_000, 0) == adjusted


def test_an_adjusted_event_is_never_behind_the_watermark():
    assert by_event(late_ms=100).adjusted(10, 1_000, 950) == 950


def test_without_idle_the_watermark_waits_for_events():
    assert by_event().idle_watermark(5, 5, 10**12) == BEFORE_ALL
    assert by_event().wake_ms(10, 5, 5) == NEVER


def test_arrival_time_passes_with_the_clock():
    plan = TimePlan(TimeSpec())
    assert plan.idle_watermark(100, 100, 101) == 101
    assert plan.wake_ms(700, 100, 100) == 700


@given(
    idle=st.integers(0, 50),
    late=st.none() | st.integers(0, 50),
    out_of_order=st.integers(0, 20),
    skew=st.integers(-100, 100),
    due=st.integers(0, 300),
)
@settings(max_examples=300, deadline=None)
def test_a_wake_is_the_first_moment_at_which_silence_reaches_what_is_due(
    idle, late, out_of_order, skew, due
):
    plan = by_event(idle_ms=idle, late_ms=late, out_of_order_ms=out_of_order)
    arrival, newest = 1_000, 150 + skew
    if late is not None:
        newest = arrival
        due += arrival
    wake = plan.wake_ms(max(due, newest - out_of_order), newest, arrival)
    reached = max(due, newest - out_of_order)
    assert plan.idle_watermark(newest, arrival, wake) >= reached
    before = plan.idle_watermark(newest, arrival, wake - 1)
    assert before < reached or before == BEFORE_ALL
