from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.metrics import RecentMaximum


@given(st.lists(st.tuples(st.integers(0, 250), st.integers(0, 50)), max_size=40))
@settings(max_examples=150, deadline=None)
def test_it_is_the_largest_of_late_and_of_nothing_older_than_twice_the_time(noted):
    recent, now_ms, values = RecentMaximum(100), 0, []
    for pause_ms, value in noted:
        now_ms += pause_ms
        recent.note(value, now_ms)
        values.append((now_ms, value))
        found = recent.at(now_ms)
        late = [one for at_ms, one in values if now_ms - at_ms < 100]
        older = [one for at_ms, one in values if now_ms - at_ms < 200]
        assert max(late) <= found <= max(older)


def test_after_a_silence_there_is_none():
    recent = RecentMaximum(100)
    recent.note(7.5, 10)
    assert recent.at(150) == 7.5
    assert recent.at(150) == 7.5
    assert recent.at(300) == 0
