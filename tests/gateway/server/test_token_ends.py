from __future__ import annotations

import random

from gateway.server.token_ends import SPARE, TokenEnds


def test_those_are_due_whose_time_is_over_soonest_first():
    ends = TokenEnds()
    for name, end_ms in (("b", 20), ("a", 10), ("c", 30)):
        ends.put(name, end_ms)
    assert ends.due(9) == []
    assert ends.due(20) == ["a", "b"]
    assert ends.due(20) == []
    assert len(ends) == 1


def test_who_has_left_is_not_due():
    ends = TokenEnds()
    ends.put("a", 10)
    ends.discard("a")
    ends.discard("a")
    assert ends.due(99) == []


def test_those_that_come_and_go_leave_nothing_behind():
    ends, live = TokenEnds(), {}
    rng = random.Random(1)
    for number in range(5_000):
        ends.put(number, end := rng.randrange(1_000))
        live[number] = end
        if len(live) > 3:
            gone = rng.choice(list(live))
            ends.discard(gone)
            del live[gone]
        assert len(ends._heap) <= 2 * len(live) + SPARE + 2
    assert ends.due(1_000) == sorted(live, key=lambda one: (live[one], one))
