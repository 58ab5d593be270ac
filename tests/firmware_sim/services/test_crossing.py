from __future__ import annotations

from firmware_sim.services.crossing import Crossings
from firmware_sim.services.spec import ThresholdSpec, TwinSpec
from firmware_sim.services.twin import Twin

HOT = ThresholdSpec("hot", "celsius", 30.0, is_above=True, shows="is_hot")
LOW = ThresholdSpec("low", "level", 2.0, is_above=False, shows="is_low")


def shown(twin, celsius, level):
    reading = {"celsius": celsius, "level": level}
    Crossings(twin).show(reading)
    return reading["is_hot"], reading["is_low"]


def test_readings_show_which_thresholds_they_cross_and_the_twin_moves_them():
    twin = Twin(TwinSpec(thresholds=(HOT, LOW)), "p", 1_000, lambda _: None)
    assert shown(twin, 30.5, 1) == (True, True)
    assert shown(twin, 30.0, 2) == (False, False)
    twin.hear("desired", {"version": 1, "desired": {"hot": 40, "low": 0}})
    assert shown(twin, 30.5, 1) == (False, False)
