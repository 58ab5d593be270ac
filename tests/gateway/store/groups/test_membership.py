import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.errors import MemberFenced
from gateway.store.groups.membership import NAMES_REMEMBERED_MAX, Membership

KEYS = [("s", number) for number in range(4)]
SESSION_MS = 3000


def a_group(*members):
    group = Membership("g", KEYS)
    for member in members:
        group.join(member, "", SESSION_MS, 0)
        settle(group, members)
    return group


def settle(group, members, now_ms=0):
    """Let everybody let go of what others wait for."""
    for member in members:
        if member in group._names:
            group.release(member, group.beat(member, now_ms).leaving)


def held(group, member, now_ms=0):
    return sorted(number for _, number in group.beat(member, now_ms).held)


def test_two_members_share_the_partitions():
    group = a_group("a", "b")
    assert sorted(held(group, "a") + held(group, "b")) == [0, 1, 2, 3]
    assert len(held(group, "a")) == len(held(group, "b")) == 2


def test_a_live_member_keeps_what_it_reads_until_it_lets_go():
    group = Membership("g", KEYS)
    group.join("a", "", SESSION_MS, 0)
    group.join("b", "", SESSION_MS, 0)
    share = group.beat("a", 0)
    assert (len(share.held), len(share.leaving)) == (4, 2)
    assert held(group, "b") == []
    group.check("a", KEYS)
    assert group.release("a", share.leaving)
    assert len(held(group, "b")) == 2
    with pytest.raises(MemberFenced, match="belongs to another member of the group 'g'"):
        group.check("a", KEYS)
    assert not group.release("a", KEYS)


def test_who_does_not_let_go_within_a_session_loses_it():
    group = Membership("g", KEYS)
    group.join("a", "", SESSION_MS, 0)
    group.join("b", "", SESSION_MS, 0)
    for now_ms in range(0, SESSION_MS + 1, 1000):
        group.beat("a", now_ms)
        group.beat("b", now_ms)
    assert len(held(group, "b", SESSION_MS)) == 2


def test_who_is_silent_for_a_session_is_fenced_and_its_partitions_move():
    group = a_group("a", "b")
    for now_ms in range(1000, SESSION_MS + 1, 1000):
        group.beat("b", now_ms)
    assert held(group, "b", SESSION_MS) == [0, 1, 2, 3]
    with pytest.raises(MemberFenced, match="silent for too long"):
        group.beat("a", SESSION_MS)
    with pytest.raises(MemberFenced):
        group.check("a", [])


def test_a_stall_of_our_own_fences_nobody():
    group = a_group("a", "b")
    group.beat("a", 1000)
    group.beat("b", 1000)
    assert len(held(group, "a", 60_000)) == 2
    assert len(held(group, "b", 60_001)) == 2


def test_a_lost_member_without_a_name_is_gone_at_once():
    group = a_group("a", "b")
    group.lose("a", 0)
    assert held(group, "b") == [0, 1, 2, 3]
    group.lose("a", 0)
    group.leave("a", 0)


def test_a_named_member_that_returns_in_time_goes_on_and_nobody_moves():
    group = Membership("g", KEYS)
    group.join("a1", "a", SESSION_MS, 0)
    group.join("b1", "b", SESSION_MS, 0)
    settle(group, ["a1"])
    before = held(group, "a1"), held(group, "b1")
    group.lose("a1", 1000)
    assert [seat.is_present for seat in group.seats()] == [False, True]
    group.join("a2", "a", SESSION_MS, 1100)
    assert (held(group, "a2", 1200), held(group, "b1", 1200)) == before
    with pytest.raises(MemberFenced, match="replaced"):
        group.beat("a1", 1200)


def test_a_named_member_that_returns_late_gets_its_partitions_back():
    group = Membership("g", KEYS)
    group.join("a1", "a", SESSION_MS, 0)
    group.join("b1", "b", SESSION_MS, 0)
    settle(group, ["a1"])
    before = held(group, "b1")
    group.lose("b1", 0)
    for now_ms in range(1000, 5001, 1000):
        group.beat("a1", now_ms)
    assert held(group, "a1", 5000) == [0, 1, 2, 3]
    group.join("b2", "b", SESSION_MS, 5000)
    settle(group, ["a1"], 5000)
    assert held(group, "b2", 5000) == before


def test_the_last_member_leaves_an_empty_group():
    group = a_group("a")
    group.leave("a", 0)
    assert group.is_empty
    assert group.seats() == []


def test_few_names_are_remembered():
    group = Membership("g", KEYS)
    for number in range(NAMES_REMEMBERED_MAX + 9):
        group.join(f"m{number}", f"n{number}", SESSION_MS, 0)
        group.leave(f"m{number}", 0)
    assert len(group.former) == NAMES_REMEMBERED_MAX


class Rebalancing(RuleBasedStateMachine):
    """Members come and go at random; the clock moves on."""

    def __init__(self):
        super().__init__()
        self.group = Membership("g", KEYS)
        self.now_ms = 0
        self.count = 0
        self.members = []

    @rule(name=st.sampled_from(["", "", "x", "y"]))
    def join(self, name):
        self.count += 1
        member = f"m{self.count}"
        self.group.join(member, name, SESSION_MS, self.now_ms)
        self.members.append(member)

    def _any(self, data):
        return data.draw(st.sampled_from(self.members))

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def beat(self, data):
        member = self._any(data)
        try:
            share = self.group.beat(member, self.now_ms)
        except MemberFenced:
            self.members.remove(member)
        else:
            self.group.check(member, share.held)
            self.group.release(member, share.leaving)

    @precondition(lambda self: self.members)
    @rule(data=st.data(), is_lost=st.booleans())
    def go(self, data, is_lost):
        (self.group.lose if is_lost else self.group.leave)(self._any(data), self.now_ms)

    @rule(passed_ms=st.integers(1, 2000))
    def pass_time(self, passed_ms):
        self.now_ms += passed_ms

    @invariant()
    def every_partition_has_exactly_one_owner(self):
        seats = self.group.seats()
        owned = sorted(key for seat in seats for key in seat.held)
        assert owned == (KEYS if seats else [])

    @invariant()
    def the_targets_are_balanced(self):
        targets = list(self.group._targets.values())
        sizes = [targets.count(seat.name) for seat in self.group.seats()]
        assert not sizes or max(sizes) - min(sizes) <= 1


TestRebalancing = Rebalancing.TestCase
TestRebalancing.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
