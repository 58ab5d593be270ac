from __future__ import annotations

import random

import pytest

from gateway.rules import SideEvent
from tests.harness.rule_runs import Tape, engine_of, steps, transitions


def late_rule(**fields):
    time = {"by": "event", "field": "payload.ts", **fields}
    spelt = ", ".join(f"{name}: {value}" for name, value in time.items())
    return f"- {{id: r, from: plant/+, key: device, when: payload.x > 5, time: {{{spelt}}}}}"


def test_a_late_event_goes_to_the_side_stream_and_is_counted():
    engine, tape = engine_of(late_rule()), Tape()
    engine.feed(tape.event({"ts": 100, "x": 1}))
    (side,) = engine.feed(tape.event({"ts": 99, "x": 9}))
    assert (side.stream, side.topic, side.device) == ("late-r", "plant/m1", "m1")
    assert side.payload == b'{"ts": 99, "x": 9}'
    assert engine.counters["r"].late == 1
    assert engine.counters["r"].late_example == ("plant/m1", "m1", 99)


def test_a_late_event_may_be_dropped_or_adjusted():
    engine, tape = engine_of(late_rule(late_policy="drop")), Tape()
    engine.feed(tape.event({"ts": 100, "x": 1}))
    assert engine.feed(tape.event({"ts": 99, "x": 9})) == []
    engine, tape = engine_of(late_rule(late_policy="adjust")), Tape()
    engine.feed(tape.event({"ts": 100, "x": 1}))
    assert steps(engine.feed(tape.event({"ts": 99, "x": 9}))) == [("raised", 100)]


def test_an_event_from_the_future_does_not_move_the_watermark():
    engine, tape = engine_of(late_rule(early="5m")), Tape()
    (side,) = engine.feed(tape.event({"ts": 10**9, "x": 9}, arrival=1_000))
    assert isinstance(side, SideEvent)
    assert engine.counters["r"].early == 1
    assert steps(engine.feed(tape.event({"ts": 900, "x": 9}, arrival=1_001))) == [("raised", 900)]


def test_without_a_time_of_its_own_an_event_has_that_of_its_arrival():
    engine, tape = engine_of(late_rule()), Tape()
    assert steps(engine.feed(tape.event({"x": 9}, arrival=77))) == [("raised", 77)]
    assert engine.counters["r"].without_time == 1


def test_an_event_without_a_key_is_counted_and_left_out():
    engine, tape = (
        engine_of("- {id: r, from: plant/+, key: payload.room, when: payload.x > 5}"),
        Tape(),
    )
    assert engine.feed(tape.event({"x": 9})) == []
    assert engine.counters["r"].without_key == 1
    (raised,) = engine.feed(tape.event({"x": 9, "room": "a/b"}))
    assert (raised.key, raised.topic) == ("a/b", "alerts/r/a/b")


RULES = {
    "plain": "when: payload.x > 5",
    "for": "when: payload.x > 5, for: 40ms",
    "clear_for": "when: payload.x > 5, for: 15ms, clear_for: 25ms",
    "sliding": "window: {sliding: 50ms}, aggregate: {m: avg(payload.x)}, when: m > 5",
    "sliding for": (
        "window: {sliding: 30ms}, aggregate: {m: max(payload.x)}, when: m > 8, "
        "for: 20ms, clear_for: 10ms"
    ),
    "tumbling": "window: {tumbling: 60ms}, aggregate: {m: sum(payload.x)}, when: m > 12",
    "tumbling for": (
        "window: {tumbling: 20ms}, aggregate: {m: count()}, when: m > 1, for: 30ms, clear_for: 20ms"
    ),
}
AGGREGATES = {
    "sliding": (50, lambda xs: sum(xs) / len(xs) > 5),
    "sliding for": (30, lambda xs: max(xs) > 8),
    "tumbling": (60, lambda xs: sum(xs) > 12),
    "tumbling for": (20, lambda xs: len(xs) > 1),
}
SPANS = {"for": (40, 0), "clear_for": (15, 25), "sliding for": (20, 10), "tumbling for": (30, 20)}


def looks_of(kind, events):
    """(time, whether `when` holds), by definition, for the events of one key in order of time."""
    if not kind.startswith(("sliding", "tumbling")):
        return [(t, x > 5) for t, x in events]
    size, test = AGGREGATES[kind]
    if kind.startswith("tumbling"):
        starts = sorted({t - t % size for t, _ in events})
        return [(s + size, test([x for t, x in events if s <= t < s + size])) for s in starts]
    looks = []
    for index, (t, _) in enumerate(events):
        held = [x for u, x in events[: index + 1] if u > t - size]
        looks.append((t, test(held)))
    times = {t for t, _ in events}
    for expiry in {t + size for t in times} - times:
        held = [x for t, x in events if expiry - size < t <= expiry]
        if held:  # an empty window is unknown, which changes nothing
            looks.append((expiry, test(held)))
    return sorted(looks, key=lambda look: look[0])


def life_twin(looks, for_ms, clear_for_ms):
    """Raised and cleared, by looking ahead from every look."""
    found, position, is_up = [], 0, False
    while position < len(looks):
        time_ms, value = looks[position]
        if value is is_up:
            position += 1
            continue
        span = clear_for_ms if is_up else for_ms
        rest = looks[position + 1 :]
        turn = next((i for i, (t, v) in enumerate(rest) if v is is_up), None)
        if turn is not None and rest[turn][0] < time_ms + span:
            position += turn + 1
            continue
        is_up = not is_up
        found.append(("raised" if is_up else "cleared", time_ms + span))
        position += 1
        while position < len(looks) and looks[position][0] < time_ms + span:
            position += 1
    return found


def shuffled(events, bound, rng):
    """The events in an order in which none comes more than `bound` behind the newest before it."""
    return sorted(events, key=lambda event: event[0] + rng.uniform(0, bound))


@pytest.mark.parametrize("out_of_order", [0, 30])
@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("seed", range(4))
def test_the_engine_agrees_with_the_definition_of_the_language(kind, out_of_order, seed):
    rng = random.Random(f"{kind} {out_of_order} {seed}")
    time = f"time: {{by: event, field: payload.ts, out_of_order: {out_of_order}ms}}"
    engine = engine_of(f"- {{id: r, from: plant/+, key: device, {RULES[kind]}, {time}}}")
    events, now_ms = [], 1_000
    for _ in range(300):
        now_ms += rng.choice([1, 2, 3, 10, 20, 30, 55])
        events.append((now_ms, rng.choice("ab"), rng.randint(0, 10)))
    tape, found = Tape(), []
    for time_ms, device, x in shuffled(events, out_of_order, rng):
        event = tape.event({"ts": time_ms, "x": x}, device=device, arrival=1)
        found += transitions(engine.feed(event))
    assert engine.counters["r"].late == 0
    for device in "ab":
        own = [(t, x) for t, d, x in events if d == device]
        watermark = own[-1][0] - out_of_order
        taken = [event for event in own if event[0] <= watermark]
        wanted = life_twin(looks_of(kind, taken), *SPANS.get(kind, (0, 0)))
        got = [(event, t) for _, key, event, t in found if key == device]
        # What lies at or behind the last watermark may wait for more.
        assert [s for s in got if s[1] < watermark] == [s for s in wanted if s[1] < watermark]
        assert len(wanted) > 4
