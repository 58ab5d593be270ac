from __future__ import annotations

import time

import pytest

from gateway.clock import ManualClock, SystemClock


def test_a_manual_clock_stands_still():
    clock = ManualClock(5_000)
    assert (clock.now_ms(), clock.monotonic_ms()) == (5_000, 0)
    assert (clock.now_ms(), clock.monotonic_ms()) == (5_000, 0)


def test_time_passes_on_both_clocks():
    clock = ManualClock(5_000)
    clock.advance(1_500)
    clock.advance(0)
    assert (clock.now_ms(), clock.monotonic_ms()) == (6_500, 1_500)


def test_a_step_of_the_wall_clock_passes_no_time():
    clock = ManualClock(5_000)
    clock.step(-2_000)
    assert (clock.now_ms(), clock.monotonic_ms()) == (3_000, 0)
    clock.step(10_000)
    assert (clock.now_ms(), clock.monotonic_ms()) == (13_000, 0)


def test_time_never_passes_backwards():
    clock = ManualClock()
    with pytest.raises(ValueError, match="-1 ms"):
        clock.advance(-1)
    assert clock.monotonic_ms() == 0


def test_the_system_clock_is_the_machines_own():
    clock = SystemClock()
    before = time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000
    found = clock.now_ms(), clock.monotonic_ms()
    after = time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000
    # The wall clock may step meanwhile, so only that it is the epoch's is certain.
    assert abs(found[0] - before[0]) < 60_000
    assert before[1] <= found[1] <= after[1]
