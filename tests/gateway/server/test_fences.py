from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.server.fences import Fences


def test_what_waits_goes_on_when_all_before_it_is_settled():
    fences, gone = Fences(), []
    assert fences.holds(2, lambda: gone.append("b"))
    assert fences.holds(1, lambda: gone.append("a"))
    assert fences.holds(2, lambda: gone.append("c"))
    fences.settle(1)
    assert gone == ["a"]
    fences.settle(3)
    assert gone == ["a", "b", "c"]


def test_nobody_waits_for_what_is_settled():
    fences = Fences()
    fences.settle(2)
    fences.settle(1)
    assert not fences.holds(2, lambda: None)
    assert not fences.holds(0, lambda: None)


def test_nobody_waits_while_the_log_takes_nothing():
    fences, gone = Fences(), []
    assert fences.holds(1, lambda: gone.append("a"))
    fences.open()
    assert gone == ["a"]
    assert not fences.holds(1, lambda: gone.append("b"))
    fences.settle(0)
    assert fences.holds(1, lambda: gone.append("c"))
    fences.settle(1)
    assert gone == ["a", "c"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=40))
def test_everyone_goes_on_once_and_never_before_its_number(steps):
    fences, gone, settled, held = Fences(), [], 0, []
    for turn, (is_settling, number) in enumerate(steps):
        if is_settling:
            fences.settle(number)
            settled = max(settled, number)
        elif fences.holds(number, lambda turn=turn: gone.append(turn)):
            held.append((number, turn))
        assert sorted(gone) == sorted(turn for number, turn in held if number <= settled)
