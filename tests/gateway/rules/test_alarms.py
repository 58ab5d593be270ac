from __future__ import annotations

from tests.harness.rule_runs import SIMPLE, Tape, engine_of


def test_a_transition_says_what_happened_and_why():
    rule = """
- id: hot
  from: plant/+
  key: device
  when: payload.x > 5
  for: 2s
  time: {by: event, field: payload.ts}
  alarm: {severity: major, message: "{device} at {payload.x:.1f}", labels: {site: north}}
"""
    engine, tape = engine_of(rule), Tape()
    found = []
    for time_ms, x in ((0, 6), (1_500, 7), (2_500, 8)):
        found += engine.feed(tape.event({"ts": time_ms, "x": x}, arrival=90_000 + time_ms))
    (raised,) = found
    assert raised.as_mapping() == {
        "id": "hot:m1@telemetry:0:2:0",
        "rule": "hot",
        "key": "m1",
        "event": "raised",
        "n": 1,
        "severity": "major",
        "time": "1970-01-01T00:00:02.000Z",
        "since": "1970-01-01T00:00:00.000Z",
        "detected": "1970-01-01T00:01:32.500Z",
        "message": "m1 at 7.0",
        "reason": "payload.x > 5 for 2s: payload.x = 7",
        "labels": {"site": "north"},
        "stream": "telemetry",
        "partition": 0,
        "offset": 2,
        "state": "raised",
        "shelved_until": None,
        "suppressed": None,
        "rule_hash": engine.lanes[0].spec.source_hash,
    }


def test_a_rule_publishes_at_the_moments_it_names():
    rule = """
- id: hot
  from: plant/+
  key: device
  when: payload.x > 5
  alarm: {message: "x is {payload.x}"}
  publish:
    - {topic: "alarms/{device}", qos: 1, retain: true, on: [raised]}
    - {topic: "siren/{severity}", payload: {text: "{message}", x: "{payload.x}"}, on: [cleared]}
"""
    engine, tape = engine_of(rule), Tape()
    raised, alarm = engine.feed(tape.event({"x": 6}, arrival=1))
    assert (alarm.topic, alarm.qos, alarm.retain, alarm.id) == ("alarms/m1", 1, True, raised.id)
    assert alarm.payload == raised.encode()
    _, siren = engine.feed(tape.event({"x": 2}, arrival=2))
    assert (siren.topic, siren.payload) == ("siren/warning", b'{"text":"x is 2","x":2}')


def test_several_things_of_one_cause_have_ids_of_their_own():
    engine, tape = engine_of(SIMPLE.replace("when", "for: 1s, when")), Tape()
    engine.feed(tape.event({"ts": 0, "x": 6}))
    outputs = engine.feed(tape.event({"ts": 1_000, "x": 1}))
    assert [(o.event, o.id) for o in outputs] == [
        ("raised", "hot:m1@telemetry:0:1:0"),
        ("cleared", "hot:m1@telemetry:0:1:1"),
    ]
