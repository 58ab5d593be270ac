from __future__ import annotations

from dataclasses import fields

from gateway.metrics import Counters, Reading


def test_packets_sent_are_deliveries_and_answers():
    figures = {one.name: 0 for one in fields(Reading) if one.name != "counters"}
    reading = Reading(Counters(answers_sent=5), **{**figures, "publishes_sent": 7})
    assert reading.packets_sent == 12
