"""Worked rules of the language about streams: 2, 8, 9, 10 and 12, as they stand there."""

from __future__ import annotations

import json

from gateway.rules import Derived, Engine, Loopback, parse_rules
from gateway.rules.lookups import Version
from tests.harness.rule_runs import Tape, transitions

HEAD = """
version: 1
defaults:
  key: device
  time:
    {by: event, field: payload.ts, out_of_order: 5s, late: 2m, early: 5m, late_policy: side,
     idle: 30s, watermark: key}
  on_unknown: hold
  state: {ttl: 7d, max_keys: 5000}
lookups:
  assets: {file: assets.csv, key: device, reload: 30s}
rules:
"""
FREEZER = """
  - id: freezer-warm
    from: telemetry/+/freezer
    enrich: {asset: "assets[device]"}
    let: {over: payload.temperature - asset.limit}
    when: over > 0.0
    for: 10m
    max_gap: 2m
    clear: over < -1.0
    alarm:
      levels:
        - {severity: warning, when: over > 0.0}
        - {severity: critical, when: over > 5.0, for: 1m}
      message: "{device} is {over:.1f} C over its limit"
    suppress: {remind: 1h}
"""
RISING = """
  - id: three-rising
    from: telemetry/+/bearing
    sequence:
      steps:
        - {id: base, when: payload.vibration > 2.0}
        - {id: up, when: payload.vibration > prev.payload.vibration, contiguity: strict, times: 3}
      within: 10m
    emit:
      stream: bearing-warnings
      fields: {start: base.payload.vibration, end: up.last.payload.vibration}
"""
POWER = """
  - id: power-1m
    from: telemetry/+/meter
    window: {tumbling: 1m, allowed_lateness: 30s}
    aggregate:
      {kw: time_avg(payload.kw), p95: "percentile(payload.kw, 95)", sd: stddev(payload.kw),
       n: count()}
    emit: {stream: power-1m, on: window}
  - id: top-consumers
    from: rule:power-1m
    key: []
    window: {tumbling: 15m}
    aggregate: {top: "topk(device, payload.kw, 5)"}
    emit: {stream: top-consumers, fields: {top: top}}
"""
COOLING = """
  - id: cooling-ineffective
    from: telemetry/+/room
    key: payload.room
    join:
      with: {hvac: telemetry/+/hvac}
      within: 2m
      on: hvac.payload.room == payload.room
      type: latest
    when: hvac.payload.mode == "cool" && payload.temperature > hvac.payload.setpoint + 3.0
    for: 15m
    alarm:
      {severity: minor,
       message: "room {payload.room}: cooling on, still {payload.temperature:.1f} C"}
"""
MINUTE_MS = 60_000
START_MS = 1_767_225_600_000


class Plant:
    """One rule file, fed on event time that is the time of arrival."""

    def __init__(self, text):
        rules = parse_rules(HEAD + text)
        self.engine = Engine(rules.rules)
        self.loopback = Loopback(self.engine, rules.derived_streams_read)
        self.tape, self.found = Tape(), []

    def see(self, minutes, topic, **payload):
        now_ms = START_MS + round(minutes * MINUTE_MS)
        raw = {"ts": now_ms, **payload}
        device = topic.split("/")[1]
        self.found += self.loopback.feed(
            self.tape.event(raw, topic=topic, device=device, arrival=now_ms)
        )

    def alarms(self):
        return [
            (rule, key, event, (time_ms - START_MS) / MINUTE_MS)
            for rule, key, event, time_ms in transitions(self.found)
        ]

    def records(self, stream):
        found = [one for one in self.found if isinstance(one, Derived) and one.stream == stream]
        return [(one.key, json.loads(one.payload)) for one in found]


def test_a_freezer_is_measured_by_its_own_limit():
    plant = Plant(FREEZER)
    rows = {"f1": {"device": "f1", "limit": -18}, "f2": {"device": "f2", "limit": -10}}
    plant.engine.look_up(Version("assets", "1", rows))
    for minute in range(30):
        for freezer in ("f1", "f2", "f3"):
            celsius = -11 if minute < 25 else -20
            plant.see(minute, f"telemetry/{freezer}/freezer", temperature=celsius)
    assert plant.alarms() == [
        ("freezer-warm", "f1", "raised", 10.0),
        ("freezer-warm", "f1", "cleared", 25.0),
    ]
    raised = next(one for one in plant.found if getattr(one, "event", "") == "raised")
    assert raised.message == "f1 is 7.0 C over its limit"
    assert raised.severity == "critical"


def test_three_readings_that_rise_in_a_row_are_a_warning():
    plant = Plant(RISING)
    for minute, vibration in enumerate((1.0, 2.5, 2.6, 2.4, 2.5, 2.7, 2.9, 3.1, 1.0)):
        plant.see(minute, "telemetry/b1/bearing", vibration=vibration)
    plant.see(20, "telemetry/b1/bearing", vibration=1.0)
    ((key, record),) = plant.records("bearing-warnings")
    assert (key, record["start"], record["end"]) == ("b1", 2.4, 2.9)
    assert plant.alarms() == []


def test_minutes_of_power_are_ranked_by_the_quarter_of_an_hour():
    plant = Plant(POWER)
    for half_minute in range(2 * 34):
        for meter in range(7):
            plant.see(half_minute / 2, f"telemetry/m{meter}/meter", kw=meter * 10.0)
    minutes = plant.records("power-1m")
    assert all(record["n"] == 2 for _, record in minutes)
    first = next(record for key, record in minutes if key == "m3")
    assert (first["ts"], first["kw"], first["p95"], first["sd"]) == (START_MS + 60_000, 30, 30, 0)
    tops = plant.records("top-consumers")
    assert [record["ts"] - START_MS for _, record in tops] == [15 * MINUTE_MS, 30 * MINUTE_MS]
    (_, top), *_ = tops
    assert [one["by"] for one in top["top"]] == ["m6", "m5", "m4", "m3", "m2"]


def test_a_room_that_stays_warm_while_it_is_cooled():
    plant = Plant(COOLING)
    for half_minute in range(2 * 40):
        minute = half_minute / 2
        mode = "cool" if minute < 30 else "off"
        plant.see(minute, "telemetry/h1/hvac", room="r1", mode=mode, setpoint=20)
        plant.see(minute + 0.1, "telemetry/s1/room", room="r1", temperature=24)
        plant.see(minute + 0.1, "telemetry/s2/room", room="r2", temperature=24)
    assert plant.alarms() == [
        ("cooling-ineffective", "r1", "raised", 15.1),
        ("cooling-ineffective", "r1", "cleared", 30.1),
    ]
