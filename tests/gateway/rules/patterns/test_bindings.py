from __future__ import annotations

from gateway.rules.expression.parser import parse
from gateway.rules.patterns.bindings import Memory, Pick, add_up, look_up, paths_in
from gateway.rules.values import INTEGER_MAX, UNKNOWN

EVENT = {"payload": {"a": {"b": 1, "c": 2}, "x": [1, 2]}, "topic": "t", "ts": 5}


def test_paths_are_found_wherever_a_name_is_read():
    tree = parse(
        'up.first.payload.a > 1 && has(cmd.payload.b) || contains(cmd.topic, payload["c"])'
    )
    found = set(paths_in(tree, frozenset({"up", "cmd"})))
    assert found == {("up", "first", "payload", "a"), ("cmd", "payload", "b"), ("cmd", "topic")}


def test_only_what_is_read_is_kept_and_always_the_time():
    assert Pick([("payload", "a", "b"), ("payload", "lost", "x")]).take(EVENT) == {
        "payload": {"a": {"b": 1}},
        "ts": 5,
    }
    assert Pick([("payload", "a"), ("payload", "a", "b")]).take(EVENT) == {
        "payload": {"a": {"b": 1, "c": 2}},
        "ts": 5,
    }
    assert Pick([()]).take({**EVENT, "prev": UNKNOWN}) == EVENT


def test_a_path_that_leads_nowhere_is_unknown():
    assert look_up(EVENT, ("payload", "x", "y")) is UNKNOWN
    assert look_up(EVENT, ("payload", "a", "b")) == 1


def test_many_events_are_first_last_count_and_the_aggregates_that_are_asked_for():
    paths = [
        ("first", "payload", "v"),
        ("count",),
        ("avg", "payload", "v"),
        ("max", "payload", "v"),
    ]
    memory, taken = Memory(paths, is_many=True), None
    for number, value in enumerate([4, 9.5, "x"]):
        before = taken
        taken = memory.add(before, {"payload": {"v": value}, "ts": number})
    assert (before["count"], taken["count"]) == (2, 3)
    assert (taken["first"]["payload"]["v"], taken["last"]["payload"]["v"]) == (4, "x")
    assert (taken["avg"], taken["max"]) == ({"payload": {"v": 6.75}}, {"payload": {"v": 9.5}})


def test_sums_leave_the_whole_numbers_where_those_end():
    tally = add_up([0, 0, None, None], INTEGER_MAX)
    assert type(tally[1]) is int
    assert type(add_up(tally, 1)[1]) is float
    assert add_up(tally, True) is tally
