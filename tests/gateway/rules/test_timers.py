from __future__ import annotations

from tests.harness.rule_runs import BY_EVENT, SIMPLE, Tape, engine_of, steps, transitions


def test_by_arrival_silence_fires_what_a_tick_reaches():
    engine, tape = (
        engine_of("- {id: r, from: plant/+, key: device, for: 10s, when: payload.x > 5}"),
        Tape(),
    )
    engine.feed(tape.event({"x": 6}, arrival=1_000))
    assert engine.next_tick_ms() == 11_000
    assert engine.feed(tape.tick(10_999)) == []
    assert engine.next_tick_ms() == 11_000
    assert steps(engine.feed(tape.tick(11_000))) == [("raised", 11_000)]
    assert engine.next_tick_ms() is None


def test_by_event_time_silence_means_nothing_without_idle():
    engine, tape = engine_of(SIMPLE.replace("when", "for: 10s, when")), Tape()
    engine.feed(tape.event({"ts": 5, "x": 6}, arrival=1_000))
    assert engine.next_tick_ms() is None
    assert engine.feed(tape.tick(10**9)) == []


def test_with_idle_the_watermark_of_a_silent_key_walks_on():
    time = "time: {by: event, field: payload.ts, idle: 30s}"
    engine, tape = (
        engine_of(SIMPLE.replace(BY_EVENT, time).replace("when", "for: 10s, when")),
        Tape(),
    )
    engine.feed(tape.event({"ts": 500, "x": 6}, arrival=1_000_000))
    assert engine.next_tick_ms() == 1_000_000 + 30_000 + 10_000
    (raised,) = engine.feed(tape.tick(1_040_000))
    assert (raised.time_ms, raised.detected_ms) == (10_500, 1_040_000)
    assert raised.cause.stream == "ticks"


def test_with_idle_and_late_the_watermark_trails_the_clock():
    time = "time: {by: event, field: payload.ts, idle: 30s, late: 2m}"
    engine, tape = (
        engine_of(SIMPLE.replace(BY_EVENT, time).replace("when", "for: 1h, when")),
        Tape(),
    )
    engine.feed(tape.event({"ts": 1_000_000, "x": 6}, arrival=1_010_000))
    assert engine.next_tick_ms() == 1_000_000 + 3_600_000 + 120_000


def test_another_device_lets_time_pass_for_a_silent_one():
    engine, tape = (
        engine_of("- {id: r, from: plant/+, key: device, for: 10s, when: payload.x > 5}"),
        Tape(),
    )
    engine.feed(tape.event({"x": 6}, device="a", arrival=1_000))
    outputs = engine.feed(tape.event({"x": 1}, device="b", arrival=30_000))
    assert transitions(outputs) == [("r", "a", "raised", 11_000)]
    assert outputs[0].cause.offset == 1


def test_a_sliding_average_moves_when_old_samples_leave():
    rule = """
- id: r
  from: plant/+
  key: device
  window: {sliding: 10s}
  aggregate: {m: avg(payload.x)}
  when: m > 5
"""
    engine, tape, found = engine_of(rule), Tape(), []
    for arrival, x in ((0, 9), (4_000, 3), (5_000, 1)):
        found += engine.feed(tape.event({"x": x}, arrival=arrival))
    assert steps(found) == [("raised", 0), ("cleared", 5_000)]
    engine, tape, found = engine_of(rule), Tape(), []
    for arrival, x in ((0, 1), (4_000, 8)):
        found += engine.feed(tape.event({"x": x}, arrival=arrival))
    assert found == []
    assert engine.next_tick_ms() == 10_001  # at 10,000 another sample could still come
    assert steps(engine.feed(tape.tick(10_001))) == [("raised", 10_000)]


def test_timers_of_a_tick_fire_in_order_of_time_then_rule_then_key():
    rules = """
- {id: b, from: plant/+, key: device, for: 5s, when: payload.x > 5}
- {id: a, from: plant/+, key: device, for: 5s, when: payload.x > 5, state: {max_keys: 9}}
- {id: c, from: plant/+, key: device, for: 4s, when: payload.x > 5}
"""
    engine, tape = engine_of(rules), Tape()
    for device in ("z", "y"):
        engine.feed(tape.event({"x": 6}, device=device, arrival=1_000))
    assert transitions(engine.feed(tape.tick(60_000))) == [
        ("c", "y", "raised", 5_000),
        ("c", "z", "raised", 5_000),
        ("a", "y", "raised", 6_000),
        ("a", "z", "raised", 6_000),
        ("b", "y", "raised", 6_000),
        ("b", "z", "raised", 6_000),
    ]
