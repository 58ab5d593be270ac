from __future__ import annotations

import pytest

from gateway.rules.standing import Alarm


@pytest.mark.parametrize(
    ("flags", "state"),
    [
        ({}, "idle"),
        ({"is_up": True}, "raised"),
        ({"is_up": True, "is_acked": True}, "acked"),
        ({"is_latched": True}, "cleared-unacked"),
        ({"is_up": True, "is_acked": True, "shelved_until_ms": 5}, "shelved"),
        ({"shelved_until_ms": 5}, "shelved"),
    ],
)
def test_an_alarm_is_in_one_state(flags, state):
    alarm = Alarm("major")
    for name, value in flags.items():
        setattr(alarm, name, value)
    assert alarm.state == state


def test_it_is_due_at_the_first_of_its_times():
    alarm = Alarm("major")
    alarm.remind_ms = 9
    assert alarm.due_ms == 9
    alarm.shelved_until_ms = 5
    assert alarm.due_ms == 5


def test_what_is_packed_can_be_unpacked():
    alarm, again = Alarm("major"), Alarm("info")
    alarm.n, alarm.message, alarm.is_up, alarm.shelved_until_ms = 3, "hot", True, 77
    alarm.names, alarm.token, alarm.quiet = {"x": [1]}, "t", "limit"
    again.unpack(alarm.pack())
    assert {name: getattr(again, name) for name in Alarm.__slots__} == {
        name: getattr(alarm, name) for name in Alarm.__slots__
    }
