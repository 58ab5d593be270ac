from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.store.sqlite.stretches import count_between, merged, uncovered

STRETCHES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8)


def offsets_of(stretches):
    return {offset for start, stop in stretches for offset in range(start, stop)}


@settings(max_examples=200, deadline=None)
@given(STRETCHES, st.integers(0, 40), st.integers(0, 40))
def test_stretches_are_sets_of_offsets(stretches, start, stop):
    whole = merged(stretches)
    assert offsets_of(whole) == offsets_of(stretches)
    assert all(own[1] < later[0] for own, later in pairwise(whole))
    asked = set(range(start, stop))
    assert count_between(start, stop, whole) == len(asked & offsets_of(stretches))
    assert offsets_of(uncovered(start, stop, whole)) == asked - offsets_of(stretches)
