"""The cases of absence that Siddhi lists with its patterns, in this language.

Where it counts the silence before a first step from the start of the program, it counts here from
the first event of the key; where it says `every`, that is always so here.
"""

from __future__ import annotations

import pytest

from tests.harness.rule_runs import Tape, engine_of, steps

RULE = """
- id: r
  from: plant/+
  time: {by: event, field: payload.ts}
  sequence: {within: %s, steps: [%s]}
"""
A, B, C = (f'{{id: {one}, when: payload.is == "{one}"}}' for one in "abc")
NOT_A = '{not: payload.is == "a", within: 1s}'
NOT_B = '{not: payload.is == "b", within: 1s}'
B_BETWEEN = '{not: payload.is == "b"}'


def found(pattern, events, within="1h"):
    """When the pattern is found, in tenths of a second; `events` are (tenth, kind)."""
    engine, tape, outputs = engine_of(RULE % (within, ", ".join(pattern))), Tape(), []
    for tenth, kind in [*events, (10_000, "end")]:
        outputs += engine.feed(tape.event({"ts": tenth * 100, "is": kind}, arrival=1))
    return [time_ms // 100 for event, time_ms in steps(outputs) if event == "raised"]


@pytest.mark.parametrize(
    ("pattern", "events", "moments"),
    [
        # A -> not B for 1 sec
        ([A, NOT_B], [(0, "a")], [10]),
        ([A, NOT_B], [(0, "a"), (9, "b")], []),
        ([A, NOT_B], [(0, "a"), (11, "b")], [10]),
        # A -> not B and C
        ([A, B_BETWEEN, C], [(0, "a"), (5, "c")], [5]),
        ([A, B_BETWEEN, C], [(0, "a"), (3, "b"), (5, "c")], []),
        # A -> (not B for 1 sec and C)
        ([A, NOT_B, C], [(0, "a"), (12, "c")], [12]),
        ([A, NOT_B, C], [(0, "a"), (5, "b"), (12, "c")], []),
        # not A for 1 sec -> B
        ([NOT_A, B], [(0, "x"), (10, "b")], [10]),
        ([NOT_A, B], [(0, "x"), (5, "a"), (10, "b")], []),
        ([NOT_A, B], [(0, "x"), (5, "a"), (15, "b")], [15]),
        # every (not B for 1 sec), as a silence after each A
        ([A, NOT_B], [(0, "a"), (20, "a"), (25, "b"), (40, "a")], [10, 50]),
    ],
)
def test_absence_is_found_where_siddhi_finds_it(pattern, events, moments):
    assert found(pattern, events) == moments


def test_a_silence_must_fit_into_the_pattern():
    # A -> (not B and C) within 1 sec
    assert found([A, B_BETWEEN, C], [(0, "a"), (9, "c")], within="1s") == [9]
    assert found([A, B_BETWEEN, C], [(0, "a"), (11, "c")], within="1s") == []
