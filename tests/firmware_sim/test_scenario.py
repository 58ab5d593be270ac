from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.scenario import Kind, Scenario, share_out


def kind(name, weight, rate_hz=1.0):
    return Kind(name, weight, "{kind}-{number}", "x/{device}/{kind}", rate_hz, 1, ())


def scenario(*kinds):
    return Scenario("s", "", "", 10, 1_000, 0, kinds)


WEIGHTS = st.lists(st.floats(0.01, 100.0), min_size=1, max_size=8)


@given(st.integers(0, 10_000), WEIGHTS)
def test_shares_add_up_and_none_is_off_by_a_whole_one(total, weights):
    parts = share_out(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - total * weight / sum(weights)) < 1.0


def test_shares_go_by_weight():
    assert share_out(200, [0.5, 0.3, 0.2]) == [100, 60, 40]
    assert share_out(1, [0.5, 0.5]) == [1, 0]


def test_members_are_named_and_numbered_by_kind():
    members = list(scenario(kind("pump", 2), kind("tank", 1)).members(3))
    assert [member.name for member in members] == ["pump-1", "pump-2", "tank-1"]
    assert [member.rank for member in members] == [0, 1, 0]
    assert members[2].kind.topic("tank-1") == "x/tank-1/tank"


def test_a_larger_fleet_has_the_same_devices_and_more():
    fleet = scenario(kind("pump", 2), kind("tank", 1))
    small = {member.name for member in fleet.members(30)}
    assert small < {member.name for member in fleet.members(60)}


def test_one_rate_for_all():
    fleet = scenario(kind("pump", 2, 5.0), kind("tank", 1, 1.0)).with_rate(20.0)
    assert {each.rate_hz for each in fleet.kinds} == {20.0}


def test_readings_are_bounded_by_rate_and_time():
    fleet = scenario(kind("pump", 1, 10.0))
    assert fleet.readings_max(200, 30_000) == 200 * 301
