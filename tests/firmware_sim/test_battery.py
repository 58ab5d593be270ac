from __future__ import annotations

from firmware_sim.battery import Battery, BatterySpec

SPEC = BatterySpec(lasts_ms=10_000, charge_ms=500, per_message_ms=100)


def test_a_battery_starts_between_half_full_and_full():
    levels = [Battery(SPEC, key, 0).percent(0) for key in range(100)]
    assert all(50 <= level <= 100 for level in levels)
    assert max(levels) - min(levels) > 30


def test_it_drains_with_time_and_with_messages():
    battery = Battery(SPEC, 1, 0)
    empty_ms = battery.empty_at_ms
    for _ in range(10):
        battery.spend()
    assert battery.empty_at_ms == empty_ms - 1_000
    assert battery.percent(battery.empty_at_ms - 1) == 1
    assert battery.percent(battery.empty_at_ms) == 0
    assert battery.percent(battery.empty_at_ms + 1_000) == 0


def test_charging_takes_its_time_and_fills_it():
    battery = Battery(SPEC, 1, 0)
    full_ms = battery.charge(20_000)
    assert full_ms == 20_500
    assert battery.percent(full_ms) == 100
    assert battery.empty_at_ms == full_ms + SPEC.lasts_ms
