from __future__ import annotations

from firmware_sim.timepiece import TRUE_TIME, Timepiece, TimepieceSpec

START_MS = 1_700_000_000_000
HOUR_MS = 3_600_000


def test_a_true_clock_shows_the_truth():
    clock = Timepiece(TRUE_TIME, 1, START_MS)
    assert [clock.read(START_MS + ms) for ms in (0, 1, HOUR_MS)] == [
        START_MS,
        START_MS + 1,
        START_MS + HOUR_MS,
    ]


def test_drift_grows_with_time_and_stays_within_its_bound():
    errors = []
    for key in range(50):
        clock = Timepiece(TimepieceSpec(drift_ppm=100.0), key, START_MS)
        error = clock.read(START_MS + 10 * HOUR_MS) - START_MS - 10 * HOUR_MS
        assert abs(error) <= 3_600
        assert abs(clock.read(START_MS + HOUR_MS) - START_MS - HOUR_MS - error / 10) <= 1
        errors.append(error)
    assert min(errors) < -1_800
    assert max(errors) > 1_800


def test_devices_are_wrong_by_different_amounts_and_the_same_ones_each_time():
    spec = TimepieceSpec(error_ms=2_000)
    errors = [Timepiece(spec, key, START_MS).read(START_MS) - START_MS for key in range(20)]
    assert len(set(errors)) > 15
    assert all(abs(error) <= 2_000 for error in errors)
    again = [Timepiece(spec, key, START_MS).read(START_MS) - START_MS for key in range(20)]
    assert again == errors


def test_a_jump_ends_when_the_clock_is_set_right():
    clock = Timepiece(TRUE_TIME, 1, START_MS)
    clock.jump(-HOUR_MS, START_MS + 100)
    assert clock.read(START_MS + 99) == START_MS + 99 - HOUR_MS
    assert clock.read(START_MS + 100) == START_MS + 100


def test_no_clock_shows_a_time_before_the_epoch():
    clock = Timepiece(TRUE_TIME, 1, 1_000)
    clock.jump(-HOUR_MS, 2_000)
    assert clock.read(1_500) == 0
