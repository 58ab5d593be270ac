from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rules.trials import episodes
from gateway.rules.trials.episodes import Episode, Episodes, Step, compare
from tests.harness.rule_runs import SIMPLE, Tape, engine_of


def step(event, time_ms, *, key="a", severity="warning"):
    return Step("hot", key, event, time_ms, severity, "m")


def gathered(*steps):
    found = Episodes()
    for one in steps:
        found.take(one)
    return found


def episode(start_ms, end_ms, severity="warning"):
    return Episode("hot", "a", start_ms, end_ms, severity, "m")


def test_an_episode_runs_from_its_raise_to_its_end_with_its_highest_severity():
    found = gathered(
        step("cleared", 1),
        step("raised", 2),
        step("changed", 3, severity="major"),
        step("changed", 4, severity="minor"),
        step("acked", 5),
        step("latched", 6),
        step("cleared", 7),
        step("raised", 8, key="b"),
        step("raised", 9, key="b"),
    )
    assert [(one.key, one.start_ms, one.end_ms, one.severity) for one in found.all()] == [
        ("a", 2, 6, "major"),
        ("b", 8, None, "warning"),
        ("b", 9, None, "warning"),
    ]


def test_a_step_is_read_from_what_the_log_holds():
    engine, tape = engine_of(SIMPLE), Tape()
    (raised,) = engine.feed(tape.event({"ts": 5, "x": 9}))
    assert Step.read(json.loads(raised.encode())) == Step.of(raised)
    assert Step.read({"time": "soon"}) is None
    assert Step.read({"time": 5, "severity": "minor", "rule": 7}) is None


def test_gathering_is_bounded(monkeypatch):
    monkeypatch.setattr(episodes, "EPISODES_MAX", 1)
    found = gathered(step("raised", 1), step("cleared", 2), step("raised", 3))
    assert (len(found.all()), found.is_cut) == (1, True)


def test_what_overlaps_or_lies_close_together_is_one_alarm():
    difference = compare(
        [episode(0, 10), episode(100, 110), episode(900, 910), episode(1_000, None)],
        [episode(0, 10), episode(105, 130, "major"), episode(890, 895), episode(935, 940)],
        tolerance_ms=20,
    )
    assert [(pair.is_same, pair.edges) for pair in difference.pairs] == [
        (True, (0, 0)),
        (False, (5, 20)),
        (False, (-10, -15)),
    ]
    assert [one.start_ms for one in difference.only_old] == [1_000]
    assert [one.start_ms for one in difference.only_new] == [935]
    assert not difference.is_nothing


def test_an_alarm_that_only_one_set_clears_has_one_edge():
    (pair,) = compare([episode(0, None)], [episode(5, 9)], 0).pairs
    assert pair.edges == (5, None)


def test_an_equal_one_is_preferred_to_one_that_is_near():
    difference = compare([episode(10, 11)], [episode(5, 6), episode(10, 11)], 60)
    assert [pair.is_same for pair in difference.pairs] == [True]
    assert [one.start_ms for one in difference.only_new] == [5]


def test_the_same_episodes_differ_in_nothing():
    same = [episode(0, 10), episode(20, None)]
    assert compare(same, same, 0).is_nothing


SPANS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=8)


def made(spans):
    """Episodes one after the other: each so far after the one before, and so long."""
    found, now_ms = [], 0
    for gap_ms, length_ms in spans:
        found.append(episode(now_ms + gap_ms, now_ms + gap_ms + length_ms))
        now_ms += gap_ms + length_ms + 1
    return found


@settings(max_examples=150, deadline=None)
@given(SPANS, SPANS, st.integers(0, 10))
def test_each_episode_is_in_one_place_and_no_two_that_are_left_over_meet(first, second, tolerance):
    old, new = made(first), made(second)
    difference = compare(old, new, tolerance)
    assert sorted([*(p.old for p in difference.pairs), *difference.only_old], key=start) == old
    assert sorted([*(p.new for p in difference.pairs), *difference.only_new], key=start) == new
    for pair in difference.pairs:
        assert is_near(pair.old, pair.new, tolerance)
    turned = compare(new, old, tolerance)
    assert len(turned.pairs) == len(difference.pairs)


def start(one):
    return one.start_ms


def is_near(one, other, tolerance):
    """The slow reading of the same: some moments of both lie close enough together."""
    return any(
        abs(x - y) <= tolerance
        for x in range(one.start_ms, one.end_ms + 1)
        for y in range(other.start_ms, other.end_ms + 1)
    )
