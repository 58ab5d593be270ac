from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.chance import BELL_BOUND, derive_key, draw_bell, draw_unit, draw_word, is_among

KEYS = st.integers(0, 2**64 - 1)
NUMBERS = st.integers(0, 10**13)


def splitmix64(state):
    """The generator as its authors wrote it: advance, then finalise."""
    mask = 2**64 - 1
    while True:
        state = (state + 0x9E3779B97F4A7C15) & mask
        word = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
        yield word ^ (word >> 31)


@given(KEYS)
def test_words_are_those_of_splitmix64_in_order(key):
    for number, expected in zip(range(10), splitmix64(key), strict=False):
        assert draw_word(key, number) == expected


def test_the_first_word_of_seed_zero_is_the_published_one():
    assert draw_word(0, 0) == 0xE220A8397B1DCDAF


def test_keys_of_different_paths_differ_even_where_their_texts_join_alike():
    paths = [("a", "bc"), ("ab", "c"), ("abc",), (1, "a"), ("1a",), (1, 1), (11,)]
    assert len({derive_key(*path) for path in paths}) == len(paths)


def test_a_key_is_the_same_for_ever():
    assert derive_key(1, "pump-7", "pressure") == 0x94DB052A8866AD48


@given(KEYS, NUMBERS)
def test_draws_keep_within_their_bounds(key, number):
    assert 0.0 <= draw_unit(key, number) < 1.0
    assert -BELL_BOUND <= draw_bell(key, number) <= BELL_BOUND


def test_the_bell_has_mean_zero_and_deviation_one():
    values = [draw_bell(7, number) for number in range(20_000)]
    assert abs(math.fsum(values) / len(values)) < 0.02
    assert abs(math.sqrt(math.fsum(x * x for x in values) / len(values)) - 1.0) < 0.02


@given(st.integers(1, 3_000), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
@settings(max_examples=50, deadline=None)
def test_a_share_of_any_fleet_is_nearly_exact(fleet, share, offset):
    members = sum(is_among(index, share, offset) for index in range(fleet))
    assert abs(members - share * fleet) <= 5


def test_the_first_member_belongs_to_every_share_without_an_offset():
    assert is_among(0, 0.001)
    assert not is_among(0, 0.0)
