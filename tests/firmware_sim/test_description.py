from __future__ import annotations

import pytest

from firmware_sim.description import describe_scenario, duration_text, signal_text
from firmware_sim.loader import load_scenario, shipped_scenarios
from firmware_sim.signals import Clamp, Constant, Noise, Steps, Sum


@pytest.mark.parametrize("name", shipped_scenarios())
def test_a_description_names_every_kind_field_and_fault(name):
    scenario = load_scenario(name)
    text = "\n".join(describe_scenario(scenario))
    for kind in scenario.kinds:
        assert kind.name in text
        assert kind.topic(kind.device_name(0)) in text
        assert all(f"  {field.name}: " in text for field in kind.fields)
        assert all(f"  {fault.kind.value} " in text for fault in kind.faults)


def test_signals_read_like_sums():
    signal = Clamp(Sum((Constant(4.0), Noise(0.5), Steps((1.0, 2.5), 60_000))), 0.0, 9.0)
    assert signal_text(signal) == (
        "4 + noise (deviation 0.5) + steps (levels 1/2.5, every 1m), within 0 to 9"
    )


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [(0, "0s"), (300, "300ms"), (90_000, "1m30s"), (86_400_000, "1d"), (3_600_001, "1h1ms")],
)
def test_durations_read_as_people_write_them(duration_ms, text):
    assert duration_text(duration_ms) == text
