from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from gateway.mqtt import NO_PROPERTIES, Connect, Puback, Publish, ReasonCode, Subscription


def test_a_packet_can_be_compared_and_not_changed():
    assert Puback(1) == Puback(1, ReasonCode.SUCCESS, NO_PROPERTIES)
    assert Puback(1) != Puback(2)
    with pytest.raises(FrozenInstanceError):
        Puback(1).packet_id = 2


def test_the_defaults_are_those_of_the_plainest_packet():
    assert Publish("t").qos == 0
    assert not Publish("t").retain
    assert Connect("id").will is None
    assert Subscription("t").retain_handling == 0
