from __future__ import annotations

from gateway.rules.outputs import Publication
from tests.harness.rule_runs import Tape, engine_of, save, steps

RULE = """
- id: r
  from: plant/+
  key: device
  sequence:
    within: 10s
    steps: [{id: a, when: payload.k == "a"}, {id: b, when: payload.k == "b"}]
  %s
"""


def feed(rest, *events, engine=None, tape=None):
    engine, tape, found = engine or engine_of(RULE % rest), tape or Tape(), []
    for arrival, letter in events:
        found += engine.feed(tape.event({"k": letter, "t": arrival}, arrival=arrival))
    return engine, tape, found


def test_a_match_is_an_alarm_that_is_over_at_once():
    _, _, found = feed("title: x", (1_000, "a"), (2_000, "b"), (3_000, "a"), (4_000, "b"))
    assert [(o.event, o.n, o.time_ms, o.since_ms) for o in found] == [
        ("raised", 1, 2_000, 1_000),
        ("cleared", 1, 2_000, 1_000),
        ("raised", 2, 4_000, 3_000),
        ("cleared", 2, 4_000, 3_000),
    ]


def test_with_auto_clear_matches_keep_the_alarm_up():
    engine, tape, found = feed(
        'alarm: {auto_clear: 5s, message: "{a.payload.t}"}',
        *((1_000, "a"), (2_000, "b"), (3_000, "a"), (6_000, "b")),
    )
    assert steps(found) == [("raised", 2_000)]
    assert engine.next_tick_ms() == 11_000
    (cleared,) = engine.feed(tape.tick(11_000))
    assert (cleared.event, cleared.time_ms, cleared.message) == ("cleared", 11_000, "3000")


def test_levels_read_the_steps():
    levels = "{severity: critical, when: b.payload.t - a.payload.t > 1500}"
    rest = f"alarm: {{severity: minor, levels: [{levels}]}}"
    for end, severity in ((2_000, "minor"), (3_000, "critical")):
        _, _, found = feed(rest, (1_000, "a"), (end, "b"))
        assert found[0].severity == severity


def test_messages_are_published_at_matches_too():
    rest = 'publish: {topic: "seen/{device}", on: [match]}'
    _, _, found = feed(rest, (1_000, "a"), (2_000, "b"))
    (message,) = [o for o in found if isinstance(o, Publication)]
    assert message.topic == "seen/m1"
    assert message.payload.startswith(b'{"id":"r:m1@telemetry:0:1:0","rule":"r","key":"m1",')
    assert b'"event":"match","time":"1970-01-01T00:00:02.000Z"' in message.payload


def test_what_is_under_way_outlives_a_restart_and_a_changed_rule_begins_anew():
    engine, _, _ = feed("title: x", (1_000, "a"))
    table = {}
    save(engine, table)
    for rest, found_steps in (
        ("title: y", [("raised", 2_000), ("cleared", 2_000)]),
        ("where: true", []),
    ):
        again = engine_of(RULE % rest)
        assert again.restore(sorted(table.items())) == []
        _, _, found = feed("", (2_000, "b"), engine=again, tape=Tape())
        assert steps(found) == found_steps


def test_state_that_another_way_of_looking_left_is_not_taken_over():
    engine, _, _ = feed("title: x", (1_000, "a"))
    table = {}
    save(engine, table)
    again = engine_of(RULE % "title: x")
    (plan,) = again._lanes[0].plans
    plan.pattern.is_linear = False
    again.restore(sorted(table.items()))
    _, _, found = feed("", (2_000, "b"), engine=again)
    assert found == []
    plan.pattern.is_linear = True


def test_prev_is_the_event_before_whatever_took_it():
    rule = """
- id: rising
  from: plant/+
  key: device
  sequence:
    within: 10m
    steps:
      - {id: base, when: payload.v > 2.0}
      - {id: up, when: payload.v > prev.payload.v, contiguity: strict, times: 3}
  alarm: {message: "{base.payload.v} to {up.last.payload.v}"}
"""
    engine, tape, found = engine_of(rule), Tape(), []
    for arrival, v in enumerate([3, 4, 4, 5, 6, 7, 1], 1_000):
        found += engine.feed(tape.event({"v": v}, arrival=arrival))
    assert [o.message for o in found if o.event == "raised"] == ["4 to 7"]
