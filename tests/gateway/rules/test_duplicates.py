from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rules.duplicates import SEEN_MAX, Duplicates, digest_of
from gateway.rules.spec import DedupeSpec
from gateway.rules.values import UNKNOWN
from tests.harness.rule_runs import Tape, engine_of, save, steps


def duplicates(within_ms):
    by = SimpleNamespace(evaluate=lambda scope: scope["x"], text="x", names=frozenset({"x"}))
    return Duplicates(DedupeSpec((by,), within_ms))


def kept(subject, events, seen=None):
    seen = {} if seen is None else seen
    return [t for t, x in events if not subject.is_repeated(seen, {"x": x}, t)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.sampled_from([1, 2, 2.0, "2", None, [1.0]]))))
def test_an_event_is_kept_unless_an_equal_one_was_kept_within_the_span(gaps):
    events, now = [], 0
    for gap, x in gaps:
        now += gap
        events.append((now, x))
    expected: list[tuple[int, object]] = []
    for time, x in events:
        if not any(t >= time - 10 and y == x and type(y) is not str for t, y in expected) and not (
            x == "2" and any(t >= time - 10 and y == "2" for t, y in expected)
        ):
            expected.append((time, x))
    assert kept(duplicates(10), events) == [time for time, _ in expected]


def test_an_event_with_an_unknown_part_repeats_nothing():
    assert kept(duplicates(10), [(0, UNKNOWN), (1, UNKNOWN)]) == [0, 1]


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first():
    seen = {}
    kept(duplicates(10**9), [(t, t) for t in range(SEEN_MAX + 1)], seen)
    assert len(seen) == SEEN_MAX
    assert digest_of([0]) not in seen


RULE = """
- id: hits
  from: plant/+
  where: has(payload.id)
  dedupe: {by: payload.id, within: 10s}
  window: {sliding: 1m}
  aggregate: {n: count()}
  when: n >= 3
"""


def test_repeats_never_reach_the_window():
    engine, tape = engine_of(RULE), Tape()
    found = []
    for at, name in ((0, "a"), (1, "a"), (2, "a"), (3, "b"), (4, None), (11, "a")):
        payload = {} if name is None else {"id": name}
        found += engine.feed(tape.event(payload, arrival=at * 1_000))
    assert steps(found) == [("raised", 11_000)]


def test_what_was_seen_outlives_a_restart():
    engine, tape, table = engine_of(RULE), Tape(), {}
    engine.feed(tape.event({"id": "a"}, arrival=1_000))
    engine.feed(tape.event({"id": "b"}, arrival=2_000))
    save(engine, table)
    again = engine_of(RULE)
    again.restore(sorted(table.items()))
    assert again.feed(tape.event({"id": "a"}, arrival=3_000)) == []
    assert steps(again.feed(tape.event({"id": "c"}, arrival=4_000))) == [("raised", 4_000)]
