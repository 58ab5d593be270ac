from __future__ import annotations

from gateway.rules import Engine
from tests.harness.rule_runs import Tape, engine_of, rules_of, save, steps

COOLING = """
- id: cooling
  from: telemetry/+/room
  key: payload.room
  time: {by: event, field: payload.ts, idle: 1s}
  join:
    with: {hvac: telemetry/+/hvac}
    within: 2m
    on: hvac.payload.room == payload.room
    type: latest
  when: hvac.payload.mode == "cool" && payload.temperature > hvac.payload.setpoint + 3
  for: 10s
  alarm: {message: "{payload.room} {payload.temperature} {hvac.payload.setpoint} {hvac.device}"}
"""


class Story:
    def __init__(self, rules):
        self.rules, self.engine, self.tape, self.table = rules, engine_of(rules), Tape(), {}
        self.found = []

    def tell(self, time_ms, kind, **payload):
        payload["ts"] = time_ms
        topic = f"telemetry/{kind}-1/{kind}"
        self.found += self.engine.feed(
            self.tape.event(payload, topic=topic, device=f"{kind}-1", arrival=time_ms)
        )

    def tick(self, time_ms):
        self.found += self.engine.feed(self.tape.tick(time_ms))

    def restart(self):
        save(self.engine, self.table)
        self.engine = Engine(rules_of(self.rules))
        assert self.engine.restore(sorted(self.table.items())) == []


def test_a_condition_holds_over_the_last_known_value_of_another_stream():
    story = Story(COOLING)
    story.tell(0, "room", room="a", temperature=30)  # nothing is known of the cooling
    story.tell(1_000, "hvac", room="a", mode="cool", setpoint=20)
    story.tell(1_500, "hvac", room="b", mode="off", setpoint=20)
    story.tell(2_000, "room", room="a", temperature=25)
    story.restart()
    story.tell(9_000, "room", room="a", temperature=24)
    assert story.found == []
    story.tick(40_000)
    assert steps(story.found) == [("raised", 12_000)]
    assert story.found[0].message == "a 24 20 hvac-1"
    story.tell(50_000, "hvac", room="a", mode="off", setpoint=20)
    story.tell(51_000, "room", room="a", temperature=24)
    assert steps(story.found)[1:] == [("cleared", 51_000)]


def test_a_value_that_is_too_old_is_unknown():
    story = Story(COOLING)
    story.tell(0, "hvac", room="a", mode="cool", setpoint=20)
    story.tell(120_001, "room", room="a", temperature=30)
    story.tell(140_000, "room", room="a", temperature=30)
    assert story.found == []


def test_a_left_join_tells_of_what_met_nothing_when_the_time_is_over():
    story = Story(
        COOLING.replace("latest", "left")
        .replace("for: 10s", "")
        .replace("2m", "5s")
        .replace(
            'hvac.payload.mode == "cool" && payload.temperature > hvac.payload.setpoint + 3',
            '"!has(hvac)"',
        )
    )
    story.tell(0, "room", room="a", temperature=30)
    story.tell(1_000, "room", room="a", temperature=31)
    story.tell(5_500, "hvac", room="a", mode="cool", setpoint=20)
    assert steps(story.found) == [("raised", 5_000), ("cleared", 5_500)]
    story.restart()
    story.tell(20_000, "room", room="a", temperature=32)
    story.tick(60_000)
    assert steps(story.found)[2:] == [("raised", 25_000)]


def test_a_window_sees_what_has_met():
    rule = """
- id: w
  from: telemetry/+/room
  key: payload.room
  time: {by: event, field: payload.ts}
  join: {with: {hvac: telemetry/+/hvac}, within: 5s}
  window: {count: 2}
  aggregate: {gap: avg(payload.temperature - hvac.payload.setpoint)}
  when: gap > 6
"""
    story = Story(rule)
    story.tell(0, "room", room="a", temperature=30)
    story.tell(1_000, "hvac", room="a", setpoint=20)
    story.restart()
    story.tell(2_000, "hvac", room="a", setpoint=26)
    assert steps(story.found) == [("raised", 1_000)]
    story.tell(3_000, "room", room="a", temperature=21)
    assert steps(story.found)[1:] == [("cleared", 3_000)]
