from __future__ import annotations

from gateway.metrics import Counters


def test_a_new_gateway_has_counted_nothing():
    counters = Counters()
    assert not any(getattr(counters, name) for name in Counters.__slots__)


def test_packets_received_are_those_of_every_kind():
    counters = Counters(publishes_received=100, pubacks_received=20, others_received=3)
    assert counters.packets_received == 123
