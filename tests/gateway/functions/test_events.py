import dataclasses

import pytest

from gateway.functions import Event, Publish


def test_an_event_cannot_be_changed():
    event = Event("a/b", "b", {"x": 1}, b'{"x":1}', "telemetry", 0, 7, 1_000, "telemetry/0/7/h")
    assert (event.headers, event.attempt) == ({}, 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.topic = "c"


def test_what_is_published_is_not_retained_and_of_qos_1_unless_it_says_so():
    assert Publish("a", 1) == Publish("a", 1, retain=False, qos=1)
