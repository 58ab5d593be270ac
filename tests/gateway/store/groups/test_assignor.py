from collections import Counter
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.store.groups.assignor import assign

NAMES = ["a", "b", "c", "d", "e"]


def keys(count):
    return [("s", number) for number in range(count)]


def fewest_moves(members, partitions, owners):
    """The least number of owned partitions that move, over every balanced assignment."""
    sizes = (len(partitions) // len(members), -(-len(partitions) // len(members)))
    best = len(partitions)
    for choice in product(sorted(members), repeat=len(partitions)):
        counts = Counter(choice)
        if all(counts[member] in sizes for member in members):
            moves = sum(
                owners.get(key) in members and owners[key] != member
                for key, member in zip(partitions, choice, strict=True)
            )
            best = min(best, moves)
    return best


@settings(max_examples=150, deadline=None)
@given(
    st.sets(st.sampled_from(NAMES), min_size=1),
    st.integers(0, 24),
    st.lists(st.sampled_from(NAMES), min_size=24, max_size=24),
    st.dictionaries(st.sampled_from(keys(24)), st.sampled_from(NAMES)),
)
def test_every_partition_has_one_member_and_members_differ_by_one(members, count, former, homes):
    owners = dict(zip(keys(24), former, strict=True))
    assigned = assign(members, keys(count), owners, homes)
    assert sorted(assigned) == keys(count)
    counts = Counter(assigned.values())
    assert set(counts) <= members
    sizes = [counts[member] for member in members]
    assert max(sizes) - min(sizes) <= 1


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.sampled_from(NAMES[:3]), min_size=1),
    st.integers(1, 6),
    st.lists(st.sampled_from(NAMES), min_size=6, max_size=6),
    st.dictionaries(st.sampled_from(keys(6)), st.sampled_from(NAMES)),
)
def test_no_balanced_assignment_moves_less(members, count, former, homes):
    owners = dict(zip(keys(count), former, strict=False))
    assigned = assign(members, keys(count), owners, homes)
    moves = sum(owners[key] in members and owners[key] != assigned[key] for key in keys(count))
    assert moves == fewest_moves(members, keys(count), owners)


def test_nobody_gets_nothing():
    assert assign([], keys(3), {}) == {}


def test_who_returns_gets_back_what_is_at_home_with_it():
    first = assign(["a", "b"], keys(4), {})
    alone = assign(["a"], keys(4), first)
    assert assign(["a", "b"], keys(4), alone, homes=first) == first
