from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rules.expression.checker import Environment
from gateway.rules.expression.compiled import compile_expression
from gateway.rules.instants import NEVER
from gateway.rules.schedules import Gate, Hours
from gateway.rules.spec import Schedule

KYIV = ZoneInfo("Europe/Kyiv")
OFFICE = Schedule("office_hours", "Europe/Kyiv", (0, 1, 2, 3, 4), 8 * 60, 18 * 60)
MINUTE_MS = 60_000


def at(text, zone=KYIV):
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * 1_000


def gate(text, *schedules):
    names = {"ts": "number", **{one.name: "bool" for one in schedules}}
    return Gate(compile_expression(text, Environment(names), "bool"), schedules)


def is_open_by_the_clock(schedule, time_ms):
    """The slow twin: what a person reads off the clock and the calendar on the wall."""
    local = datetime.fromtimestamp(time_ms / 1_000, ZoneInfo(schedule.timezone))
    minute = local.hour * 60 + local.minute
    if schedule.from_minute < schedule.to_minute:
        is_within = schedule.from_minute <= minute < schedule.to_minute
        return local.weekday() in schedule.days and is_within
    yesterday = (local.weekday() - 1) % 7
    return (local.weekday() in schedule.days and minute >= schedule.from_minute) or (
        yesterday in schedule.days and minute < schedule.to_minute
    )


@settings(max_examples=150, deadline=None)
@given(
    st.sets(st.integers(0, 6)),
    st.integers(0, 1439),
    st.integers(1, 1440),
    st.sampled_from(["UTC", "Asia/Kathmandu", "America/Sao_Paulo"]),
    st.lists(st.integers(0, 40 * 1440), min_size=1, max_size=12),
)
def test_hours_are_those_that_a_person_reads_off_the_clock(days, start, end, zone, minutes):
    schedule = Schedule("s", zone, tuple(sorted(days)), start, end)
    hours = Hours(schedule)
    begin = at("2026-06-01T00:00", UTC)
    for minute in minutes:
        moment = begin + minute * MINUTE_MS
        assert hours.is_open(moment) == is_open_by_the_clock(schedule, moment)


@settings(max_examples=40, deadline=None)
@given(
    st.sets(st.integers(0, 6)),
    st.integers(0, 95),
    st.integers(1, 96),
    st.integers(0, 7 * 96),
)
def test_the_next_change_is_the_first_at_which_the_clock_says_otherwise(days, start, end, quarter):
    schedule = Schedule("s", "UTC", tuple(sorted(days)), start * 15, end * 15)
    moment = at("2026-06-01T00:07", UTC) + quarter * 15 * MINUTE_MS
    now = is_open_by_the_clock(schedule, moment)
    later = (moment // (15 * MINUTE_MS) + step for step in range(1, 8 * 96))
    expected = next(
        (
            place * 15 * MINUTE_MS
            for place in later
            if is_open_by_the_clock(schedule, place * 15 * MINUTE_MS) != now
        ),
        NEVER,
    )
    assert Hours(schedule).next_change_ms(moment) == expected


@pytest.mark.parametrize(
    ("day", "hours_open"), [("2026-03-29", 3), ("2026-10-25", 5), ("2026-07-05", 4)]
)
def test_hours_over_a_change_of_the_clocks_end_by_the_clock_on_the_wall(day, hours_open):
    night = Hours(Schedule("night", "Europe/Kyiv", (5,), 23 * 60, 3 * 60))
    opens = at(f"{day}T00:00") - 60 * MINUTE_MS
    assert night.is_open(opens)
    assert not night.is_open(opens - 1)
    # In March the clocks go forward at 03:00, in October back at 04:00: neither is inside.
    assert night.next_change_ms(opens) == opens + 4 * 60 * MINUTE_MS
    early = Hours(Schedule("early", "Europe/Kyiv", (6,), 60, 5 * 60))
    opens = at(f"{day}T01:00")
    assert early.next_change_ms(opens) == opens + hours_open * 60 * MINUTE_MS


def test_a_time_that_is_skipped_counts_as_the_time_after_it():
    hours = Hours(Schedule("s", "Europe/Kyiv", (6,), 3 * 60 + 30, 12 * 60))
    assert not hours.is_open(at("2026-03-29T04:29"))
    assert hours.is_open(at("2026-03-29T04:30"))


def test_a_gate_opens_when_its_schedules_let_it():
    outside = gate("!office_hours", OFFICE)
    monday = at("2026-06-01T09:00")
    assert not outside.is_open(monday)
    assert outside.next_opening_ms(monday) == at("2026-06-01T18:00")
    inside = gate("office_hours", OFFICE)
    assert inside.next_opening_ms(at("2026-06-05T18:00")) == at("2026-06-08T08:00")


def test_a_gate_that_reads_the_time_opens_at_a_quarter_of_an_hour():
    working = gate('hour("Asia/Kathmandu") >= 8')
    start = at("2026-06-01T05:05", ZoneInfo("Asia/Kathmandu"))
    assert not working.is_open(start)
    assert working.next_opening_ms(start) == at("2026-06-01T08:00", ZoneInfo("Asia/Kathmandu"))


def test_a_gate_that_never_opens_says_so():
    assert gate("false").next_opening_ms(at("2026-06-01T09:00")) == NEVER
    never = Schedule("never", "UTC", (), 0, 60)
    assert gate("never", never).next_opening_ms(at("2026-06-01T09:00")) == NEVER


def test_hours_that_are_always_open_never_change():
    hours = Hours(Schedule("always", "Europe/Kyiv"))
    moment = at("2026-03-27T09:00")
    assert hours.is_open(moment)
    assert hours.next_change_ms(moment) == NEVER
    assert all(
        hours.is_open(moment + timedelta(hours=h) // timedelta(milliseconds=1)) for h in range(100)
    )
