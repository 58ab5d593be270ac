from __future__ import annotations

from collections import Counter

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.services.deeds import Ask, Tell
from firmware_sim.services.spec import ThresholdSpec, TwinSpec
from firmware_sim.services.twin import Twin

HOT = ThresholdSpec("hot", "celsius", 30.0, is_above=True, shows="is_hot")
SPEC = TwinSpec(1_000, 60_000, (HOT,))


class Owner:
    """A twin whose factory interval is 2 s, its counts, and what it reported."""

    def __init__(self):
        self.counts = Counter()
        self.twin = Twin(SPEC, "p", 2_000, lambda what: self.counts.update([what]))
        self.patches = []
        self.take(self.twin.report())

    def take(self, deeds):
        self.patches += [orjson.loads(deed.payload) for deed in deeds if isinstance(deed, Tell)]
        return deeds

    def desire(self, version, desired):
        return self.take(self.twin.hear("desired", {"version": version, "desired": desired}))

    def change(self, version, delta):
        return self.take(self.twin.hear("delta", {"version": version, "delta": delta}))


def test_a_new_device_reports_what_it_left_the_factory_with_and_only_once():
    owner = Owner()
    assert owner.patches == [{"interval_s": 2, "hot": 30.0}]
    assert owner.twin.report() == []


def test_what_is_desired_comes_into_force_and_is_reported():
    owner = Owner()
    assert owner.desire(1, {"interval_s": 5, "hot": 25, "colour": "red"})
    assert owner.patches[1:] == [{"interval_s": 5, "hot": 25}]
    assert owner.twin.interval_ms == 5_000
    assert owner.desire(1, {"interval_s": 5, "hot": 25}) == []


def test_what_is_not_desired_any_more_goes_back_to_the_factory():
    owner = Owner()
    owner.desire(1, {"interval_s": 5, "hot": 25})
    owner.desire(2, {"hot": 25})
    owner.change(3, {"hot": None})
    assert owner.patches[2:] == [{"interval_s": 2}, {"hot": 30.0}]


@pytest.mark.parametrize("interval_s", [0, -1, 0.999, 61, True, "5", [5], {}])
def test_an_impossible_interval_changes_nothing_and_the_report_shows_it(interval_s):
    owner = Owner()
    owner.desire(1, {"interval_s": interval_s})
    assert owner.patches[1:] == [{"interval_s": 2}]
    assert owner.twin.interval_ms == 2_000
    assert owner.counts["impossible_desired"] == 1


def test_stale_versions_change_nothing():
    owner = Owner()
    owner.desire(5, {"interval_s": 5})
    owner.desire(4, {"interval_s": 6})
    owner.change(5, {"interval_s": 7})
    assert owner.twin.interval_ms == 5_000
    assert owner.counts["stale_desired"] == 2


def test_a_delta_that_skips_a_version_makes_the_device_ask_for_everything():
    owner = Owner()
    owner.desire(1, {})
    assert owner.change(3, {"interval_s": 5}) == [Ask("twin/p/get", b"missed")]
    state = {"request": "missed", "desired": {"interval_s": 6}, "desired_version": 3}
    owner.take(owner.twin.hear("state", state))
    assert owner.twin.interval_ms == 6_000


@pytest.mark.parametrize(
    "message",
    [{}, {"version": "1", "desired": {}}, {"version": 1, "desired": []}, {"version": True}],
)
def test_what_makes_no_sense_is_counted_and_changes_nothing(message):
    owner = Owner()
    assert owner.twin.hear("desired", message) == []
    assert owner.counts["not_understood"] == 1


def test_a_refused_report_is_counted():
    owner = Owner()
    assert owner.twin.hear("error", {"error": "too large"}) == []
    assert owner.counts["report_refused"] == 1


def test_a_command_sets_everything_or_nothing():
    owner = Owner()
    assert not owner.twin.wish({"interval_s": 3, "colour": 1})
    assert not owner.twin.wish({})
    assert owner.twin.interval_ms == 2_000
    assert owner.twin.wish({"interval_s": 3})
    assert owner.twin.interval_ms == 3_000


VALUES = st.none() | st.integers(1, 60) | st.sampled_from([0, 61, "x"])
WISHES = st.dictionaries(st.sampled_from(["interval_s", "hot", "other"]), VALUES)


@settings(max_examples=100, deadline=None)
@given(st.lists(WISHES, max_size=8))
def test_a_device_that_was_away_ends_where_one_that_heard_every_change_is(changes):
    present, away = Owner(), Owner()
    desired = {}
    for version, delta in enumerate(changes, 1):
        present.change(version, delta)
        desired |= delta
    away.desire(len(changes), desired)
    possible = [
        name
        for name, value in desired.items()
        if value is None or (isinstance(value, int) and (name == "hot" or 1 <= value <= 60))
    ]
    for name in set(possible) & {"interval_s", "hot"}:
        assert present.twin.in_force[name] == away.twin.in_force[name]
