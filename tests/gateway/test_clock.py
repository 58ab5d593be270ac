from __future__ import annotations

import time

import pytest

from gateway import clock as clock_module
from gateway.clock import (
    ManualClock,
    SystemClock,
    boot_id,
    has_kept_time,
    is_synchronized,
    kernel_is_synchronized,
)


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


def test_a_clock_on_a_battery_or_set_by_ntp_is_right(tmp_path):
    model, devices = tmp_path / "model", tmp_path / "rtc"
    assert has_kept_time(model, devices)
    model.touch()
    assert not has_kept_time(model, devices)
    devices.mkdir()
    assert not has_kept_time(model, devices)
    (devices / "rtc0").mkdir()
    assert has_kept_time(model, devices)
    mark = tmp_path / "synchronized"
    mark.touch()
    assert is_synchronized(mark)
    assert kernel_is_synchronized() in (True, False)
    assert is_synchronized(tmp_path / "absent") is kernel_is_synchronized()


def test_a_clock_before_this_program_was_made_is_wrong(monkeypatch):
    clock = SystemClock()
    monkeypatch.setattr(clock_module.time, "time_ns", lambda: 0)
    assert not clock.is_right()


def test_a_boot_has_a_name_where_the_machine_gives_it_one(tmp_path):
    (tmp_path / "boot_id").write_text("abc\n")
    assert boot_id(tmp_path / "boot_id") == "abc"
    assert boot_id(tmp_path / "absent") == ""


def test_a_manual_clock_is_right_until_it_is_doubted():
    clock = ManualClock()
    assert clock.is_right()
    clock.doubt()
    assert not clock.is_right()
