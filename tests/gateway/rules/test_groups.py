from __future__ import annotations

import random

import pytest

from gateway.rules import Publication, Transition
from tests.harness.rule_runs import Tape, encoded, engine_of, save

RULE = """
- id: hot
  from: plant/+
  when: payload.x > 5
  alarm: {message: "{device} is hot"}
  suppress: {group: 60ms%s}
  publish: {topic: "out/{device}", on: [raised, cleared], payload: "{message}"}
"""


def feed(engine, tape, *events):
    found = []
    for arrival, device, x in events:
        found += engine.feed(
            tape.event({"x": x}, device=device, topic=f"plant/{device}", arrival=arrival)
        )
    return found


def said(outputs):
    return [one.payload.decode().strip('"') for one in outputs if isinstance(one, Publication)]


def logged(outputs):
    return [(one.key, one.event, one.suppressed) for one in outputs if isinstance(one, Transition)]


RAISES = [(10, "a", 9), (20, "b", 9), (30, "c", 9), (40, "d", 9)]


def test_the_first_is_told_at_once_and_the_others_together():
    engine, tape = engine_of(RULE % ""), Tape()
    assert said(feed(engine, tape, *RAISES)) == ["a is hot"]
    assert engine.next_tick_ms() == 70
    found = engine.feed(tape.tick(70))
    assert said(found) == ["b is hot (and 2 more: c, d)"]
    assert logged(found) == [
        ("b", "reminded", ""),
        ("c", "reminded", "group"),
        ("d", "reminded", "group"),
    ]


def test_what_is_over_before_the_group_is_never_told():
    engine, tape = engine_of(RULE % ""), Tape()
    found = feed(engine, tape, *RAISES, (50, "b", 1))
    assert ("b", "cleared", "group") in logged(found)
    assert said(engine.feed(tape.tick(70))) == ["c is hot (and 1 more: d)"]


def test_who_was_told_of_a_raise_in_a_group_is_told_of_its_end():
    engine, tape = engine_of(RULE % ""), Tape()
    feed(engine, tape, *RAISES)
    engine.feed(tape.tick(70))
    assert said(feed(engine, tape, (80, "d", 1))) == ["d is hot"]


def test_a_group_goes_on_as_long_as_there_is_something_to_tell():
    engine, tape = engine_of(RULE % ""), Tape()
    feed(engine, tape, *RAISES)
    engine.feed(tape.tick(70))
    assert said(feed(engine, tape, (80, "e", 9))) == []
    assert said(engine.feed(tape.tick(130))) == ["e is hot"]
    assert said(engine.feed(tape.tick(190))) == []
    assert said(feed(engine, tape, (200, "f", 9))) == ["f is hot"]


def test_one_message_for_a_group_counts_once_for_the_limit():
    engine, tape = engine_of(RULE % ", limit: 2/h"), Tape()
    feed(engine, tape, *RAISES)
    assert said(engine.feed(tape.tick(70))) == ["b is hot (and 2 more: c, d)"]
    feed(engine, tape, (80, "e", 9))
    found = engine.feed(tape.tick(130))
    assert (said(found), logged(found)) == ([], [])


def test_a_long_group_names_ten_and_counts_the_others():
    engine, tape = engine_of(RULE % ""), Tape()
    feed(engine, tape, *((number, f"m{number:02}", 9) for number in range(14)))
    (message,) = said(engine.feed(tape.tick(100)))
    assert message.endswith("m10, m11 and 2 others)")
    assert message.startswith("m01 is hot (and 12 more: m02, ")


@pytest.mark.parametrize("seed", range(4))
def test_a_restored_engine_goes_on_with_its_groups(seed):
    pick, text = random.Random(seed), RULE % ", cooldown: 100ms"
    engine, whole, tape, table = engine_of(text), engine_of(text), Tape(), {}
    now_ms, groups = 0, 0
    for number in range(150):
        now_ms += pick.randint(1, 30)
        device = pick.choice("abcdef")
        batches = tape.event(
            {"x": pick.randint(0, 10)}, device=device, topic=f"plant/{device}", arrival=now_ms
        )
        if pick.random() < 0.1:
            batches = tape.tick(now_ms)
        found = engine.feed(batches)
        assert [encoded(one) for one in found] == [encoded(one) for one in whole.feed(batches)]
        groups += any(one[2] == "group" for one in logged(found))
        if number % 5 == seed:
            save(engine, table)
            engine = engine_of(text)
            engine.restore(sorted(table.items()))
    assert groups
