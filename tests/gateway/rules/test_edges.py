from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rules.edges import DAY_MS, DayEdges, EvenEdges, edges_of
from gateway.rules.spec import WindowSpec
from gateway.rules.watermarks import TIME_MS_MAX

HOUR_MS = 3_600_000


def at(text, zone):
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1_000)


def days(zone, size=1, every=None, offset_ms=0):
    spec = WindowSpec(
        "hopping", size * DAY_MS, (every or size) * DAY_MS, offset_ms=offset_ms, timezone=zone
    )
    return DayEdges(spec)


def local_date(time_ms, zone, offset_ms=0):
    """The slow twin: the date that the calendar on the wall shows."""
    local = datetime.fromtimestamp(time_ms / 1_000, ZoneInfo(zone)).replace(tzinfo=None)
    return (local - timedelta(milliseconds=offset_ms)).date()


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-06-01", 24), ("2026-10-25", 25)]
)
def test_a_day_lasts_from_midnight_to_midnight_however_the_clocks_change(day, hours):
    edges = days("Europe/Kyiv")
    start_ms = at(f"{day}T00:00", "Europe/Kyiv")
    end_ms = edges.end_after(start_ms)
    assert end_ms - start_ms == hours * HOUR_MS
    assert edges.start_of(end_ms) == start_ms
    assert edges.end_after(end_ms - 1) == end_ms
    assert edges.end_after(end_ms) == edges.end_next(end_ms) > end_ms


@pytest.mark.parametrize("zone", ["Europe/Kyiv", "America/Los_Angeles", "Asia/Kathmandu", "UTC"])
@given(st.integers(0, 4_000_000_000_000))
@settings(max_examples=60, deadline=None)
def test_the_moments_of_a_window_have_one_date(zone, time_ms):
    edges = days(zone)
    end_ms = edges.end_after(time_ms)
    start_ms = edges.start_of(end_ms)
    assert start_ms <= time_ms < end_ms
    assert local_date(start_ms, zone) == local_date(time_ms, zone) == local_date(end_ms - 1, zone)
    assert local_date(start_ms - 1, zone) < local_date(time_ms, zone) < local_date(end_ms, zone)


def test_a_midnight_that_is_skipped_is_the_moment_after_it():
    # Beirut went from 23:59 to 01:00 on 27 March 2022.
    edges = days("Asia/Beirut")
    end_ms = edges.end_after(at("2022-03-26T12:00", "Asia/Beirut"))
    assert end_ms == at("2022-03-27T01:00", "Asia/Beirut")
    assert edges.end_next(end_ms) - end_ms == 23 * HOUR_MS


def test_an_offset_moves_the_start_of_days_and_of_weeks():
    zone = "Europe/Kyiv"
    six = days(zone, offset_ms=6 * HOUR_MS)
    assert six.end_after(at("2026-03-28T07:00", zone)) == at("2026-03-29T06:00", zone)
    # 1 January 1970 was a Thursday; four days later weeks begin on Monday.
    week = days(zone, size=7, offset_ms=4 * DAY_MS)
    end_ms = week.end_after(at("2026-10-21T12:00", zone))
    assert local_date(end_ms, zone) == date(2026, 10, 26)
    assert local_date(week.start_of(end_ms), zone) == date(2026, 10, 19)
    assert end_ms - week.start_of(end_ms) == 7 * DAY_MS + HOUR_MS


def test_windows_of_three_days_end_each_day():
    zone = "Europe/Kyiv"
    edges = days(zone, size=3, every=1)
    end_ms = edges.end_after(at("2026-03-29T12:00", zone))
    assert end_ms == at("2026-03-30T00:00", zone)
    assert edges.start_of(end_ms) == at("2026-03-27T00:00", zone)
    assert edges.end_next(end_ms) == at("2026-03-31T00:00", zone)


def test_the_end_of_the_calendar_is_no_end_of_the_windows():
    edges = days("Pacific/Kiritimati")
    time_ms = TIME_MS_MAX - 5 * DAY_MS
    for _ in range(10):
        end_ms = edges.end_after(time_ms)
        assert edges.start_of(end_ms) <= time_ms < end_ms
        time_ms = end_ms


@given(st.integers(-(10**12), 10**12), st.integers(1, 50), st.integers(1, 50), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_even_edges_hold_each_moment_that_a_window_covers(time_ms, size, every, offset):
    edges = edges_of(WindowSpec("hopping", size, every, offset_ms=offset))
    assert isinstance(edges, EvenEdges)
    end_ms = edges.end_after(time_ms)
    assert end_ms - every <= time_ms < end_ms
    assert (edges.start_of(end_ms) - offset) % every == 0
    assert edges.end_next(end_ms) == edges.end_after(end_ms)
