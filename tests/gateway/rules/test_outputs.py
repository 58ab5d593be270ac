from __future__ import annotations

import pytest

from gateway.rules.outputs import Cause, SideEvent, alert_topic, spell_time


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_386_018_900_250, "2013-12-02T21:15:00.250Z"),
        (-5, "1970-01-01T00:00:00.000Z"),
        (1 << 60, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_iso_in_utc_and_stay_in_the_calendar(time_ms, text):
    assert spell_time(time_ms) == text


@pytest.mark.parametrize(
    ("key", "topic"),
    [("m1", "alerts/r/m1"), ("a/b", "alerts/r/a/b"), ("+#", "alerts/r/%2B%23"), ("", "alerts/r")],
)
def test_an_alarm_has_a_topic_that_may_be_published(key, topic):
    assert alert_topic("r", key) == topic


def test_causes_compare_in_the_order_in_which_records_are_read():
    causes = [Cause(1, "b", 0, 9), Cause(2, "a", 0, 1), Cause(2, "a", 1, 0), Cause(2, "b", 0, 0)]
    assert sorted({*causes}) == causes


def test_each_rule_has_its_own_side_stream():
    assert SideEvent(Cause(1, "t", 0, 0), "hot", "a/b", "b", b"").stream == "late-hot"
