import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.store.groups.leases import Leases

KEY = ("s", 0)


@pytest.fixture
def leases():
    return Leases(leased_max=3, deliveries_max=2, next_offsets={KEY: 0})


def test_a_lease_counts_its_deliveries_and_expires(leases):
    first = leases.grant(KEY, 0, "w", until_ms=10)
    assert (first.deliveries, leases.due(9)) == (1, [])
    assert leases.due(10) == [(first, "the lease of 'w' expired")]
    assert not leases.holds(first, "w", 10)
    second = leases.grant(KEY, 0, "v", until_ms=20)
    assert second.deliveries == 2
    assert leases.is_exhausted(second)
    assert leases.worker_of(second) == "v"
    assert not leases.holds(first, "w", 11)
    assert not leases.holds(first, "v", 11)
    assert leases.holds(second, "v", 11)


def test_the_committed_offset_is_the_lowest_that_is_not_settled(leases):
    for offset in range(3):
        leases.grant(KEY, offset, "w", 10)
    assert (leases.committed(KEY), leases.room) == (0, 0)
    leases.settle(KEY, 1)
    assert (leases.committed(KEY), leases.room) == (0, 1)
    leases.settle(KEY, 0)
    assert leases.committed(KEY) == 2
    leases.settle(KEY, 2)
    assert leases.committed(KEY) == 3


def test_what_is_given_back_waits_for_its_time(leases):
    ticket = leases.grant(KEY, 0, "w", 10)
    leases.give_back(ticket, "exit 1", due_ms=50)
    assert not leases.holds(ticket, "w", 5)
    assert leases.due(49) == []
    assert leases.due(50) == [(ticket, "exit 1")]


def test_an_extended_lease_lasts_longer(leases):
    ticket = leases.grant(KEY, 0, "w", 10)
    leases.extend(ticket, 30)
    assert leases.holds(ticket, "w", 29)
    assert leases.workers(29) == {"w": 1}
    assert leases.workers(30) == {}


def test_after_a_restart_what_was_out_is_due_with_its_count(leases):
    leases.grant(KEY, 0, "w", 10)
    leases.grant(KEY, 1, "w", 10)
    leases.settle(KEY, 0)
    again = Leases(leased_max=3, deliveries_max=2)
    again.restore(KEY, leases.next_offsets[KEY], leases.counts(KEY))
    assert [(ticket.offset, ticket.deliveries) for ticket, _ in again.due(0)] == [(1, 1)]
    assert again.committed(KEY) == 1


class Leasing(RuleBasedStateMachine):
    """Against a list of what became of every offset."""

    def __init__(self):
        super().__init__()
        self.leases = Leases(leased_max=4, deliveries_max=100, next_offsets={KEY: 0})
        self.settled = set()
        self.tickets = []
        self.now_ms = 0

    @rule(lease_ms=st.integers(1, 50))
    def lease(self, lease_ms):
        due = self.leases.due(self.now_ms)
        if due:
            offset = due[0][0].offset
        elif self.leases.room:
            offset = self.leases.next_offsets[KEY]
        else:
            return
        assert offset not in self.settled
        self.tickets.append(self.leases.grant(KEY, offset, "w", self.now_ms + lease_ms))

    @rule(data=st.data(), is_ack=st.booleans())
    def end(self, data, is_ack):
        if not self.tickets:
            return
        ticket = data.draw(st.sampled_from(self.tickets))
        if not self.leases.holds(ticket, "w", self.now_ms):
            return
        if is_ack:
            self.leases.settle(KEY, ticket.offset)
            self.settled.add(ticket.offset)
        else:
            self.leases.give_back(ticket, "no", self.now_ms + 5)

    @rule(passed_ms=st.integers(1, 30))
    def pass_time(self, passed_ms):
        self.now_ms += passed_ms

    @rule()
    def restart(self):
        again = Leases(4, 100)
        again.restore(KEY, self.leases.next_offsets[KEY], self.leases.counts(KEY))
        self.leases = again

    @invariant()
    def committed_is_the_first_that_is_not_settled(self):
        expected = next(n for n in range(10_000) if n not in self.settled)
        assert self.leases.committed(KEY) == expected

    @invariant()
    def the_state_is_bounded_and_complete(self):
        out = {offset for offset, _ in self.leases.counts(KEY)}
        assert len(out) <= 4
        assert out | self.settled == set(range(self.leases.next_offsets[KEY]))
        assert not out & self.settled


TestLeasing = Leasing.TestCase
TestLeasing.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
