"""The worked rules of the language that are patterns, as they stand there."""

from __future__ import annotations

from gateway.rules import Engine, parse_rules
from gateway.rules.alarms import Outbox
from gateway.rules.features import FEATURES
from tests.harness.rule_runs import Tape

START_MS = 1_767_225_600_000
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
  assets: {file: ASSETS, key: device, reload: 30s}
rules:
"""
DEVICE_SILENT = """
  - id: device-silent
    from: telemetry/#
    absent: {for: 5m, expect: "lookup:assets", clock: arrival, startup_grace: 2m}
    alarm: {severity: minor, message: "{device} has sent nothing for 5 minutes"}
    suppress: {while_active: [gateway-offline]}
  - id: gateway-offline
    from: $sys/link
    key: []
    when: payload.state == "down"
    for: 30s
    clear: payload.state == "up"
    alarm: {severity: critical, message: "uplink is down"}
"""
DOOR_THEN_MOTION = """
  - id: door-then-motion
    from: telemetry/+/security
    key: payload.room
    sequence:
      steps:
        - {id: door, when: payload.kind == "door" && payload.state == "open"}
        - id: motion
          when: payload.kind == "motion" && payload.confidence > 0.8
          contiguity: relaxed
      within: 30s
      skip: past_last
    alarm: {severity: info, message: "entry in {payload.room}"}
"""
COMMAND_NOT_ACKED = """
  - id: command-not-acked
    from: [commands/+, acks/+]
    sequence:
      steps:
        - {id: cmd, when: payload.type == "command"}
        - {not: payload.type == "ack" && payload.cid == cmd.payload.cid, within: 20s}
    alarm: {severity: major, message: "command {cmd.payload.cid} was not acknowledged in 20 s"}
"""
THREE_RISING = """
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


def load(rules, path="assets.csv"):
    return parse_rules(HEAD.replace("ASSETS", str(path)) + rules, "r.yaml", FEATURES)


def at(second):
    return START_MS + second * 1_000


def run(rules, *events):
    """Feed (second, topic, fields), a tick without a topic; lists (event, second, message)."""
    engine, tape, found = Engine(rules.rules, rules.inventories), Tape(), []
    for second, topic, fields in events:
        if topic is None:
            found += engine.feed(tape.tick(at(second)))
            continue
        device = topic.split("/")[1]
        payload = {"ts": at(second), **fields}
        found += engine.feed(tape.event(payload, topic=topic, device=device, arrival=at(second)))
    return [(o.event, (o.time_ms - START_MS) // 1_000, o.message) for o in found]


def test_a_device_of_the_inventory_that_is_silent_or_was_never_seen(tmp_path):
    (tmp_path / "assets.csv").write_text("device,limit\np1,3\np2,4\n")
    found = run(
        load(DEVICE_SILENT, tmp_path / "assets.csv"),
        (0, "telemetry/p1", {}),
        (100, "telemetry/p1", {}),
        (419, None, {}),
        (420, None, {}),
        (421, "telemetry/p1", {}),
    )
    assert found == [
        ("raised", 400, "p1 has sent nothing for 5 minutes"),
        ("raised", 420, "p2 has sent nothing for 5 minutes"),
        ("cleared", 421, "p1 has sent nothing for 5 minutes"),
    ]


def test_a_door_and_then_motion():
    motion = {"kind": "motion", "room": "a"}
    found = run(
        load(DOOR_THEN_MOTION),
        (0, "telemetry/d1/security", {"kind": "door", "state": "open", "room": "a"}),
        (5, "telemetry/m1/security", {**motion, "confidence": 0.5}),
        (9, "telemetry/m1/security", {**motion, "confidence": 0.9, "room": "b"}),
        (10, "telemetry/m1/security", {**motion, "confidence": 0.9}),
        (11, "telemetry/m1/security", {**motion, "confidence": 0.95}),
        (300, None, {}),
    )
    assert found == [("raised", 10, "entry in a"), ("cleared", 10, "entry in a")]


def test_a_command_that_was_not_acknowledged():
    found = run(
        load(COMMAND_NOT_ACKED),
        (0, "commands/v1", {"type": "command", "cid": 7}),
        (1, "commands/v1", {"type": "command", "cid": 8}),
        (5, "acks/v1", {"type": "ack", "cid": 7}),
        (300, None, {}),
    )
    message = "command 8 was not acknowledged in 20 s"
    assert found == [("raised", 21, message), ("cleared", 21, message)]


def test_three_rising_readings_in_a_row(monkeypatch):
    told = []
    monkeypatch.setattr(
        Outbox, "announce_match", lambda _, plan, key, match, scope: told.append((plan, key, scope))
    )
    values = [1.0, 2.5, 2.4, 2.6, 2.7, 2.8, 2.9, 1.0]
    events = [(10 * n, "telemetry/b1/bearing", {"vibration": v}) for n, v in enumerate(values)]
    assert run(load(THREE_RISING), *events, (600, None, {})) == []
    ((plan, key, scope),) = told
    assert key == "b1"
    fields = {name: field.evaluate(scope) for name, field in plan.spec.emit.fields.items()}
    assert fields == {"start": 2.4, "end": 2.8}
