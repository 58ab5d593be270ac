from __future__ import annotations

import json

from gateway.rules import Derived
from tests.harness.rule_runs import Tape, engine_of, steps

RULE = """
- id: hot
  from: plant/+
  key: device
  time: {by: event, field: payload.ts}
  where: payload.x != null
  when: payload.x > 5
  for: 10ms
  alarm: {}
  emit: {stream: all, on: event, fields: {x: payload.x, before: prev.payload.x}}
"""


def test_every_event_is_emitted_and_the_condition_lives_its_own_life():
    engine, tape, found = engine_of(RULE), Tape(), []
    for time_ms, x in ((1, 2), (2, 7), (15, 8), (16, None), (17, 1)):
        found += engine.feed(tape.event({"ts": time_ms, "x": x}, arrival=time_ms))
    records = [json.loads(one.payload) for one in found if isinstance(one, Derived)]
    assert [(one["ts"], one["x"], one["before"]) for one in records] == [
        (1, 2, None),
        (2, 7, 2),
        (15, 8, 7),
        (17, 1, 8),
    ]
    assert steps(found) == [("raised", 12), ("cleared", 17)]
