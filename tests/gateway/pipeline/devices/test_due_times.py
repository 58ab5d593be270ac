from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.pipeline.devices import due_times
from gateway.pipeline.devices.due_times import DueTimes

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["set", "forget", "take"]), st.sampled_from("abc"), st.integers(0, 9)
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_it_is_a_table_of_times(steps):
    due, table = DueTimes(), {}
    for what, letter, ms in steps:
        name = (letter, "")
        if what == "set":
            due.set(name, ms)
            table[name] = ms
        elif what == "forget":
            due.forget(name)
            table.pop(name, None)
        else:
            expected = sorted((own_ms, own) for own, own_ms in table.items() if own_ms <= ms)
            assert list(due.take(ms)) == [own for _, own in expected]
            table = {own: own_ms for own, own_ms in table.items() if own_ms > ms}
        assert len(due) == len(table)
        assert due.next_ms() == min(table.values(), default=None)


def test_times_that_count_no_more_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(due_times, "SPARE", 3)
    due = DueTimes()
    for ms in range(1_000):
        due.set(("a", "b"), 5_000 + ms)
    assert len(due._heap) < 10
    assert list(due.take(5_999)) == [("a", "b")]
