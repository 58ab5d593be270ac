from __future__ import annotations

import pytest

from gateway.server.attendance import Attendance, place_of
from gateway.session import Grant


class Client:
    pass


def test_a_device_is_heard_while_somebody_listens_for_it():
    attendance, one, other = Attendance(), Client(), Client()
    filters = ("twin/pump-7/desired", "twin/pump-7/delta")
    for topic_filter in filters:
        attendance.add(topic_filter, one, Grant(topic_filter, 1))
    attendance.add(filters[0], other, Grant(filters[0], 1))
    assert attendance.is_heard("twin", "pump-7")
    assert not attendance.is_heard("command", "pump-7")
    for topic_filter in filters:
        attendance.remove(topic_filter, one)
    assert attendance.is_heard("twin", "pump-7")
    attendance.remove(filters[0], other)
    assert not attendance.is_heard("twin", "pump-7")
    assert len(attendance) == 0


def test_who_watches_hears_of_each_that_begins_to_listen():
    attendance, heard = Attendance(), []
    attendance.add("twin/early/#", Client(), Grant("twin/early/#", 1))
    attendance.watch("twin", heard.append)
    attendance.add("twin/late/delta", Client(), Grant("twin/late/delta", 1))
    attendance.add("command/late/request/+", Client(), Grant("command/late/request/+", 1))
    assert heard == ["early", "late"]


def test_to_remove_what_is_not_there_does_nothing():
    attendance = Attendance()
    assert not attendance.remove("twin/pump-7/delta", Client())


@pytest.mark.parametrize(
    "topic_filter",
    [
        *("#", "twin/#", "twin/+/delta", "twin", "plant/pump-7/#", "twin/pump-7"),
        *("command/pump-7/event/+", "command/pump-7/response/+", "twin/pump-7/changed"),
    ],
)
def test_who_watches_many_or_hears_nothing_of_a_device_listens_for_none(topic_filter):
    assert place_of(topic_filter) is None


@pytest.mark.parametrize(
    "topic_filter", ["command/pump-7/#", "command/pump-7/+/+", "command/pump-7/request/+"]
)
def test_a_wildcard_below_the_device_listens_for_it(topic_filter):
    assert place_of(topic_filter) == ("command", "pump-7")
