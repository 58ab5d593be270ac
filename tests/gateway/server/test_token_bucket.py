"""The token bucket, and its slow twin that adds up exact fractions."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.server.token_bucket import TokenBucket

steps = st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 3_000)), max_size=60)
rates = st.integers(1, 5_000)


class Twin:
    """The level as its definition: after each step, what is left, what was earned, the burst."""

    def __init__(self, per_second, burst):
        self.per_second, self.burst, self.level = per_second, max(burst, 1), Fraction(max(burst, 1))

    def pass_time(self, ms):
        self.level = min(Fraction(self.burst), self.level + Fraction(ms * self.per_second, 1_000))


@given(rates, st.integers(0, 5_000), steps)
@settings(max_examples=150, deadline=None)
def test_a_bucket_is_its_definition(per_second, burst, spent):
    now_ms = 17
    bucket, twin = TokenBucket(per_second, burst, now_ms), Twin(per_second, burst)
    for pause_ms, amount in spent:
        now_ms += pause_ms
        twin.pass_time(pause_ms)
        assert bucket.has(amount, now_ms) == (twin.level >= amount)
        assert bucket.is_full(now_ms) == (twin.level == twin.burst)
        bucket.spend(amount, now_ms)
        twin.level -= amount
        wait_ms = bucket.wait_ms(now_ms)
        owed = max(Fraction(0), -twin.level)
        assert wait_ms - 1 < owed * 1_000 / per_second <= wait_ms


@given(rates, st.lists(st.integers(1, 400), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_who_sends_as_much_as_it_may_gets_the_rate_within_two_percent(per_second, pieces):
    bucket, now_ms, taken = TokenBucket(per_second, per_second, 0), 0, 0
    number = 0
    while now_ms < 200_000 or taken < 50 * (per_second + 400):
        piece = pieces[number % len(pieces)]
        number += 1
        now_ms += bucket.wait_ms(now_ms)
        bucket.spend(piece, now_ms)
        taken += piece
        if now_ms >= 10_000_000:
            break
    allowed = per_second + per_second * now_ms / 1_000
    assert 0.98 * allowed <= taken <= 1.02 * allowed + max(pieces)


def test_a_clock_that_stands_still_earns_nothing():
    bucket = TokenBucket(10, 1, 5)
    bucket.spend(1, 5)
    assert not bucket.has(1, 5)
    assert bucket.has(1, 105)


def test_a_bucket_holds_one_token_at_least():
    assert TokenBucket(1, 0, 0).has(1, 0)
