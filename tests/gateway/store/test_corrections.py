from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.store.corrections import (
    STRETCHES_MAX,
    ClockRecord,
    Correction,
    corrected_ms,
    correction_put,
    read_corrections,
)
from gateway.store.memory import MemoryStore


def test_a_clock_that_was_right_from_the_start_needs_no_correction():
    record = ClockRecord("boot")
    assert record.look(5_000, 0, is_right=True) == []
    assert record.look(6_000, 1_000, is_right=True) == []
    assert record.steps == 0


def test_when_the_clock_becomes_right_the_times_before_are_corrected_once():
    record = ClockRecord("boot")
    assert record.look(1_000, 0, is_right=False) == []
    assert record.look(61_000, 60_000, is_right=False) == []
    found = record.look(9_000_000, 61_000, is_right=True)
    assert found == [Correction("boot", 1_000, 61_000, 8_938_000)]
    assert record.look(9_001_000, 62_000, is_right=True) == []
    assert record.steps == 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(2_000, 10**9)), min_size=1, max_size=8))
def test_every_time_seen_is_corrected_to_what_the_right_clock_would_have_shown(parts):
    record, seen, monotonic_ms, wall_ms = ClockRecord("boot"), [], 0, 0
    for looks, step_ms in parts:
        for _ in range(looks):
            monotonic_ms += 1_000
            wall_ms += 1_000
            record.look(wall_ms, monotonic_ms, is_right=False)
            seen.append((wall_ms, monotonic_ms))
        wall_ms += step_ms
    monotonic_ms += 1_000
    wall_ms += 1_000
    corrections = record.look(wall_ms, monotonic_ms, is_right=True)
    for own_ms, at_ms in seen:
        assert corrected_ms(own_ms, corrections) == wall_ms - (monotonic_ms - at_ms)


def test_a_clock_that_steps_for_ever_is_followed_in_bounded_memory():
    record = ClockRecord("boot")
    for number in range(5 * STRETCHES_MAX):
        record.look(number * 10_000, number, is_right=False)
    assert len(record.look(10**9, 10**6, is_right=True)) < STRETCHES_MAX


async def test_corrections_are_kept_beside_the_log():
    store = MemoryStore()
    corrections = [Correction("b", 5, 9, 100), Correction("a", 50, 90, -7)]
    await store.append([], [correction_put(own) for own in corrections])
    assert await read_corrections(store) == corrections
    assert [corrected_ms(own, corrections) for own in (4, 5, 9, 10, 60)] == [4, 105, 109, 10, 53]
