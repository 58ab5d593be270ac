from __future__ import annotations

from firmware_sim.services.spec import (
    INTERVAL_LEAST_MS,
    INTERVAL_MOST_MS,
    CommandsSpec,
    ServicesSpec,
    TwinSpec,
    UpdatesSpec,
)


def test_a_kind_has_no_service_unless_its_scenario_says_so():
    assert ServicesSpec() == ServicesSpec(twin=None, commands=None, updates=None)


def test_services_do_well_unless_the_scenario_says_otherwise():
    assert CommandsSpec().fails == UpdatesSpec().fails == UpdatesSpec().rolls_back == 0.0
    twin = TwinSpec()
    assert INTERVAL_LEAST_MS <= twin.interval_ms_least < twin.interval_ms_most <= INTERVAL_MOST_MS
