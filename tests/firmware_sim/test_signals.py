from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.chance import draw_bell, is_among
from firmware_sim.signals import (
    DAY_MS,
    HOUR_MS,
    Clamp,
    Constant,
    Daily,
    Drift,
    Grain,
    Noise,
    Offset,
    Pulse,
    Sine,
    Steps,
    Sum,
    Switch,
    Walk,
)

START_MS = 1_700_000_000_000
GRAIN = Grain(key=11, device_key=12, rank=0, start_ms=START_MS)
OTHER = Grain(key=21, device_key=22, rank=1, start_ms=START_MS)
ELAPSED = st.integers(0, 100_000)
SIGNALS = [
    Constant(4.0),
    Offset(2.0),
    Sine(3.0, 7_000),
    Daily(10.0, 20.0),
    Walk(0.5, 250, 0.1),
    Noise(0.3),
    Drift(36.0),
    Steps((1.0, 5.0, 3.0), 700),
    Pulse(5.0, 10_000, 4_000, 1_000, 500, 2_000),
    Switch(300, 200),
    Sum((Walk(0.5, 250), Noise(0.1))),
    Clamp(Walk(5.0, 100), -1.0, 1.0),
]


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: type(signal).__name__)
@given(times=st.lists(ELAPSED, min_size=1, max_size=8))
@settings(max_examples=20, deadline=None)
def test_a_value_depends_on_its_moment_and_not_on_what_was_asked_before(signal, times):
    used = signal.sampler(GRAIN)
    for elapsed_ms in times:
        fresh = signal.sampler(GRAIN)
        assert used(START_MS + elapsed_ms) == fresh(START_MS + elapsed_ms)


@pytest.mark.parametrize(
    "signal",
    [Offset(2.0), Sine(3.0, 7_000), Walk(0.5, 250), Noise(0.3)],
    ids=lambda signal: type(signal).__name__,
)
def test_two_devices_differ(signal):
    mine, other = signal.sampler(GRAIN), signal.sampler(OTHER)
    assert any(mine(START_MS + t) != other(START_MS + t) for t in range(0, 2_000, 97))


def walk_by_definition(walk, key, elapsed_ms):
    values = [0.0]
    for number in range(1, elapsed_ms // walk.every_ms + 2):
        values.append(values[-1] * (1 - walk.pull) + walk.step * draw_bell(key, number))
    before, after = values[-2], values[-1]
    return before + (after - before) * (elapsed_ms % walk.every_ms) / walk.every_ms


@given(ELAPSED, st.integers(1, 5_000), st.floats(0.0, 1.0))
@settings(max_examples=60, deadline=None)
def test_a_walk_is_its_definition(elapsed_ms, every_ms, pull):
    walk = Walk(0.5, max(every_ms, 50), pull)
    expected = walk_by_definition(walk, GRAIN.key, elapsed_ms)
    assert walk.sampler(GRAIN)(START_MS + elapsed_ms) == pytest.approx(expected, abs=1e-12)


def test_a_walk_stands_still_before_the_start():
    assert Walk(1.0, 100).sampler(GRAIN)(START_MS - 5_000) == 0.0


@given(ELAPSED)
def test_a_sine_is_its_definition(elapsed_ms):
    value = Sine(3.0, 7_000, phase=0.25).sampler(GRAIN)(START_MS + elapsed_ms)
    assert value == pytest.approx(3.0 * math.sin(2 * math.pi * (elapsed_ms / 7_000 + 0.25)))


def test_a_day_is_highest_at_its_peak_and_lowest_half_a_day_later():
    sampler = Daily(10.0, 20.0, peak_ms=14 * HOUR_MS).sampler(GRAIN)
    midnight_ms = START_MS // DAY_MS * DAY_MS
    assert sampler(midnight_ms + 14 * HOUR_MS) == pytest.approx(20.0)
    assert sampler(midnight_ms + 2 * HOUR_MS) == pytest.approx(10.0)


def test_a_drift_grows_by_its_amount_an_hour():
    assert Drift(36.0).sampler(GRAIN)(START_MS + HOUR_MS // 2) == pytest.approx(18.0)


def test_an_offset_never_changes_and_keeps_within_its_spread():
    samplers = [Offset(2.0).sampler(Grain(key, 0, 0, START_MS)) for key in range(200)]
    values = [sampler(START_MS) for sampler in samplers]
    assert values == [sampler(START_MS + 999) for sampler in samplers]
    assert all(-2.0 <= value <= 2.0 for value in values)
    assert min(values) < -1.5 < 1.5 < max(values)


def test_steps_take_each_level_in_turn_for_as_long():
    sampler = Steps((1.0, 5.0, 3.0), 700, phase=0.0).sampler(GRAIN)
    seen = [sampler(START_MS + at) for at in (0, 699, 700, 1_399, 1_400, 2_099, 2_100)]
    assert seen == [1.0, 1.0, 5.0, 5.0, 3.0, 3.0, 1.0]


def test_a_switch_is_on_and_off_for_as_long_as_it_says():
    sampler = Switch(300, 200, phase=0.0).sampler(GRAIN)
    assert [sampler(START_MS + at) for at in (0, 299, 300, 499, 500)] == [1, 1, 0, 0, 1]


def pulse_by_definition(pulse, since_first_ms):
    """The trapezoid, from its corners."""
    if since_first_ms < 0:
        return 0.0
    at = since_first_ms % pulse.every_ms
    up, down, end = pulse.ramp_ms, pulse.lasts_ms - pulse.ramp_ms, pulse.lasts_ms
    if at < up:
        return pulse.add * at / up
    if at < down:
        return pulse.add
    return pulse.add * (end - at) / (end - down) if at < end else 0.0


@given(st.integers(-1_000, 50_000), st.integers(0, 2_000))
def test_a_pulse_is_a_trapezoid(elapsed_ms, ramp_ms):
    pulse = Pulse(5.0, 10_000, 4_000, ramp_ms, first_ms=500)
    value = pulse.sampler(GRAIN)(START_MS + elapsed_ms)
    assert value == pytest.approx(pulse_by_definition(pulse, elapsed_ms - 500))


def test_the_pulses_of_one_device_coincide_whatever_their_fields():
    pulse = Pulse(5.0, 10_000, 4_000, spread_ms=5_000)
    temperature, door = pulse.sampler(GRAIN.child("t")), pulse.sampler(GRAIN.child("door"))
    times = range(START_MS, START_MS + 10_000, 100)
    assert [temperature(t) for t in times] == [door(t) for t in times]


def test_a_pulse_comes_to_its_share_of_the_devices_only():
    pulse = Pulse(5.0, 10_000, 4_000, share=0.3)
    for rank in range(50):
        value = pulse.sampler(GRAIN._replace(rank=rank))(START_MS)
        assert (value == 5.0) is is_among(rank, 0.3)


def test_parts_of_a_sum_have_chances_of_their_own():
    value = Sum((Noise(1.0), Noise(1.0))).sampler(GRAIN)(START_MS + 5)
    parts = [Noise(1.0).sampler(GRAIN.child(number))(START_MS + 5) for number in (0, 1)]
    assert parts[0] != parts[1]
    assert value == sum(parts)


@given(ELAPSED)
def test_a_clamp_holds_both_ends(elapsed_ms):
    value = Clamp(Walk(5.0, 100), -1.0, 1.0).sampler(GRAIN)(START_MS + elapsed_ms)
    plain = Walk(5.0, 100).sampler(GRAIN)(START_MS + elapsed_ms)
    assert value == min(1.0, max(-1.0, plain))
