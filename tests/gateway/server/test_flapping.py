from __future__ import annotations

import logging

import pytest

from gateway.server.flapping import IDENTIFIERS_MAX, Flapping, Party
from gateway.server.options import FlappingOptions

HERE, THERE = Party("10.0.0.1", "10.0.0.1:5001"), Party("10.0.0.2", "10.0.0.2:6001")
OPTIONS = FlappingOptions(takeovers_max=4, within_ms=10_000, delay_ms=500)


def fight(flapping, count, *, every_ms=100, start_ms=0, parties=(HERE, HERE)):
    for number in range(count):
        loser, winner = parties if number % 2 else parties[::-1]
        flapping.note("pump", loser, winner, start_ms + number * every_ms)
    return start_ms + count * every_ms


@pytest.fixture
def flapping(caplog):
    caplog.set_level(logging.INFO)
    return Flapping(OPTIONS)


def test_a_few_takeovers_are_nothing(flapping, caplog):
    now_ms = fight(flapping, 4)
    assert not flapping.is_contested("pump", now_ms)
    assert caplog.messages == []


def test_too_many_takeovers_are_told_once_with_both_addresses(flapping, caplog):
    now_ms = fight(flapping, 50)
    assert flapping.is_contested("pump", now_ms)
    (message,) = caplog.messages
    assert "'pump' is used by two clients" in message
    assert "10.0.0.1:5001" in message
    assert flapping.contested()["pump"].takeovers == 50


def test_between_two_hosts_half_as_many_are_enough(flapping):
    now_ms = fight(flapping, 3, parties=(HERE, THERE))
    assert flapping.is_contested("pump", now_ms)


def test_slow_takeovers_are_no_fight(flapping):
    now_ms = fight(flapping, 40, every_ms=2_600)
    assert not flapping.is_contested("pump", now_ms)


def test_a_fight_that_was_slowed_down_goes_on_until_nobody_takes_over_for_a_while(flapping, caplog):
    now_ms = fight(flapping, 5)
    now_ms = fight(flapping, 10, every_ms=9_000, start_ms=now_ms)
    assert flapping.is_contested("pump", now_ms)
    assert not flapping.is_contested("pump", now_ms + 10_001)
    flapping.sweep(now_ms + 10_001)
    assert caplog.messages[1:] == ["nobody fights over 'pump' any more"]
    assert len(flapping) == 0
    assert flapping.changes == 2


def test_a_fight_that_begins_anew_is_told_anew(flapping, caplog):
    now_ms = fight(flapping, 5)
    fight(flapping, 5, start_ms=now_ms + 20_000)
    assert len(caplog.messages) == 2


def test_a_fight_is_nobody_elses(flapping):
    now_ms = fight(flapping, 50)
    assert not flapping.is_contested("valve", now_ms)


def test_memory_is_bounded_in_identifiers_and_in_takeovers(flapping):
    for number in range(IDENTIFIERS_MAX + 10):
        flapping.note(f"c{number}", HERE, THERE, number)
    assert len(flapping) == IDENTIFIERS_MAX
    fight(flapping, 1_000, every_ms=1, start_ms=20_000)
    assert len(flapping.contested()["pump"].times_ms) <= OPTIONS.takeovers_max + 1
