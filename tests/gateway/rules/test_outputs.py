"""What the engine gives out, as bytes and topics."""

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt import check_topic_name
from gateway.rules.outputs import Cause, SideEvent, Transition, alert_topic, spell_time

CAUSE = Cause(7, "telemetry", 2, 41)


def transition(**changes):
    fields = {
        "id": "hot:m1@telemetry:2:41:0",
        "cause": CAUSE,
        "rule": "hot",
        "key": "m1",
        "event": "raised",
        "n": 1,
        "severity": "major",
        "time_ms": 1_500,
        "since_ms": 1_000,
        "detected_ms": 2_000,
        "message": "too hot",
        "reason": "x > 5: x = 6",
        "labels": {"team": "cold"},
    }
    return Transition(**{**fields, **changes})


def test_a_transition_is_json_with_its_cause():
    assert json.loads(transition().encode()) == {
        "id": "hot:m1@telemetry:2:41:0",
        "rule": "hot",
        "key": "m1",
        "event": "raised",
        "n": 1,
        "severity": "major",
        "time": "1970-01-01T00:00:01.500Z",
        "since": "1970-01-01T00:00:01.000Z",
        "detected": "1970-01-01T00:00:02.000Z",
        "message": "too hot",
        "reason": "x > 5: x = 6",
        "labels": {"team": "cold"},
        "stream": "telemetry",
        "partition": 2,
        "offset": 41,
    }


def test_equal_transitions_are_equal_bytes():
    assert transition().encode() == transition().encode()


def test_a_late_event_goes_to_its_rules_own_stream():
    assert SideEvent(CAUSE, "hot", "a/b", "b", b"{}").stream == "late-hot"


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20))
def test_an_alarms_topic_is_a_topic_name_whatever_the_key(key):
    topic = alert_topic("hot", key)
    check_topic_name(topic)
    assert topic.startswith("alerts/hot")


def test_a_rule_without_a_key_has_its_own_topic():
    assert alert_topic("uplink", "") == "alerts/uplink"
    assert transition(key="a+b").topic == "alerts/hot/a%2Bb"


@given(st.integers(0, 4_000_000_000_000))
def test_times_are_spelt_as_iso_in_utc(time_ms):
    spelt = datetime.fromisoformat(spell_time(time_ms))
    assert round((spelt - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000) == time_ms


def test_times_beyond_the_calendar_become_its_edges():
    assert spell_time(-1) == "1970-01-01T00:00:00.000Z"
    assert spell_time(10**18).startswith("9999-")


def test_causes_compare_in_reading_order():
    assert Cause(1, "b", 0, 9) < Cause(2, "a", 0, 0) < Cause(2, "a", 1, 0) < Cause(2, "b", 0, 0)
