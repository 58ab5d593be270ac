"""Published worked examples about time: what Stream Analytics says of late and early events.

The events and the tolerances are those of its page about time handling; so is what becomes of them.
"""

from __future__ import annotations

import json

import pytest

from gateway.rules import Derived, SideEvent
from tests.harness.rule_runs import Tape, engine_of

MINUTE_MS = 60_000
NOON_MS = 1_767_225_600_000 + 12 * 60 * MINUTE_MS
# Minutes after noon: event time, arrival, device.
EVENTS = [
    (7, 7, 1), (8, 8, 2), (17, 11, 1), (8, 13, 3), (19, 16, 1), (12, 17, 3),
    (17, 18, 2), (20, 19, 2), (16, 21, 3), (23, 22, 2), (22, 24, 2), (21, 27, 3),
]  # fmt: skip
RULE = """
- id: seen
  from: toll/+
  time:
    {by: event, field: payload.at, watermark: %s, out_of_order: 2m, late: 5m, early: 5m,
     late_policy: %s}
  emit: {stream: seen, on: event, fields: {row: payload.row}}
"""


def played(watermark, policy):
    """Where each event ends up: by its row, the minute that it counts for."""
    engine, tape, found, aside = engine_of(RULE % (watermark, policy)), Tape(), {}, []
    rows = [*EVENTS, *((90, 90, device) for device in (1, 2, 3))]
    for row, (minute, arrival, device) in enumerate(rows, 1):
        payload = {"at": NOON_MS + minute * MINUTE_MS, "row": row}
        event = tape.event(
            payload,
            device=f"device{device}",
            topic=f"toll/{device}",
            arrival=NOON_MS + arrival * MINUTE_MS,
        )
        for output in engine.feed(event):
            record = json.loads(output.payload)
            if isinstance(output, Derived):
                found[record["row"]] = (record["ts"] - NOON_MS) // MINUTE_MS
            elif isinstance(output, SideEvent):
                aside.append(record["row"])
    return {row: minute for row, minute in found.items() if row <= len(EVENTS)}, aside


def test_the_times_of_the_published_example_are_adjusted_as_published():
    found, aside = played("partition", "adjust")
    # The third is six minutes early; it is dropped there, and set aside here.
    assert aside == [3]
    assert found == {
        1: 7, 2: 8, 4: 8, 5: 19,
        6: 17,  # below the watermark, and adjusted to it
        7: 17, 8: 20,
        9: 18,
        10: 23, 11: 22,
        12: 22,  # six minutes late, and adjusted to what is allowed
    }  # fmt: skip


def test_on_timelines_of_their_own_fewer_events_are_adjusted():
    found, aside = played("key", "adjust")
    assert aside == [3]
    moved = [row for row, minute in found.items() if minute != EVENTS[row - 1][0]]
    assert moved == [12]


@pytest.mark.parametrize(("policy", "expected"), [("side", [3, 6, 9, 12]), ("drop", [])])
def test_what_is_not_adjusted_is_set_aside_or_dropped(policy, expected):
    found, aside = played("partition", policy)
    assert aside == expected
    assert sorted(found) == [1, 2, 4, 5, 7, 8, 10, 11]
