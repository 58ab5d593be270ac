"""The latest offsets against a search of everything that was committed."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.events import Origin, RecordBatch, Run
from gateway.mqtt import matches
from gateway.server.latest import LatestOffsets

SLOTS = [("s", 0), ("s", 1)]
topics = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join)
filters = st.lists(st.sampled_from(["a", "b", "+"]), min_size=1, max_size=3).map("/".join)
open_filters = st.one_of(filters, filters.map(lambda text: f"{text}/#"), st.just("#"))


def partition_of(topic: str) -> int:
    return len(topic) % 2


def batch(partition: int, base_offset: int, names: list[str]) -> RecordBatch:
    origins = [Origin(name, "d") for name in names]
    run = Run("s", partition, "c", 0, origins, [b""] * len(names), bytes(len(names)))
    return RecordBatch("s", partition, base_offset, 1, [run])


@settings(deadline=None)
@given(
    st.lists(st.lists(topics, min_size=1, max_size=4), max_size=8),
    st.lists(open_filters, max_size=3),
    st.integers(0, 12),
    st.integers(0, 12),
    st.sampled_from([2, 100]),
)
def test_nothing_that_was_missed_goes_unnoticed(commits, wanted, first, second, topics_max):
    latest = LatestOffsets(topics_max)
    latest.begin(dict.fromkeys(SLOTS, 0))
    ends = dict.fromkeys(SLOTS, 0)
    log: list[tuple[tuple[str, int], int, str]] = []
    for names in commits:
        for partition in (0, 1):
            own = [name for name in names if partition_of(name) == partition]
            if own:
                slot = ("s", partition)
                latest.note(batch(partition, ends[slot], own))
                log += [(slot, ends[slot] + index, name) for index, name in enumerate(own)]
                ends[slot] += len(own)
    positions = {slot: min(at, ends[slot]) for slot, at in zip(SLOTS, (first, second), strict=True)}
    missed = any(
        offset >= positions[slot] and any(matches(one, name) for one in wanted)
        for slot, offset, name in log
    )
    says = latest.may_have_news(wanted, positions)
    assert says or not missed
    if topics_max == 100 and not missed:
        # A run of several topics counts as one place, so a little too much may be expected of it.
        after = [name for slot, offset, name in log if offset >= positions[slot] - 3]
        assert not says or any(matches(one, name) for one in wanted for name in after)


def test_a_session_without_filters_has_missed_nothing():
    latest = LatestOffsets()
    latest.begin({("s", 0): 5})
    assert not latest.may_have_news([], {("s", 0): 0})


def test_what_lies_before_the_start_may_hold_anything():
    latest = LatestOffsets()
    latest.begin({("s", 0): 5})
    assert latest.may_have_news(["a"], {("s", 0): 4})
    assert not latest.may_have_news(["a"], {("s", 0): 5})
