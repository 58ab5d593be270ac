from __future__ import annotations

import logging
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import ManualClock
from gateway.server.listeners.connect_rate import ConnectRate, Refusal
from tests.harness.transports import FakeTransport


def test_a_burst_of_one_second_is_admitted_and_no_more():
    rate = ConnectRate(5, ManualClock())
    assert [rate.admit() for _ in range(7)] == [True] * 5 + [False] * 2
    assert rate.refused == 2


def test_the_budget_returns_with_time():
    clock = ManualClock()
    rate = ConnectRate(5, clock)
    while rate.admit():
        pass
    clock.advance(199)
    assert not rate.admit()
    clock.advance(1)
    assert rate.admit()
    assert not rate.admit()


@settings(max_examples=200, deadline=None)
@given(
    per_second=st.integers(1, 50),
    pauses_ms=st.lists(st.integers(0, 400), max_size=60),
)
def test_it_admits_what_a_leaking_bucket_does(per_second, pauses_ms):
    clock = ManualClock()
    rate = ConnectRate(per_second, clock)
    tokens = Fraction(per_second)
    for pause_ms in pauses_ms:
        clock.advance(pause_ms)
        tokens = min(Fraction(per_second), tokens + Fraction(pause_ms * per_second, 1000))
        is_admitted = tokens >= 1
        tokens -= is_admitted
        assert rate.admit() is is_admitted


def test_refusals_are_told_in_one_line_and_once(caplog):
    rate = ConnectRate(1, ManualClock())
    for _ in range(4):
        rate.admit()
    with caplog.at_level(logging.WARNING):
        rate.tell()
        rate.tell()
    assert caplog.messages == ["3 connections refused: more than 1 a second (limits: connect_rate)"]


def test_a_refused_connection_is_closed_at_once_and_not_answered():
    refusal = Refusal()
    for _ in range(2):
        wire = FakeTransport()
        wire.connect(refusal)
        assert wire.was_aborted
        assert not wire.written


def test_the_more_are_refused_the_longer_they_are_spread():
    rate = ConnectRate(2, ManualClock())
    assert rate.spread_s == 10
    for _ in range(102):
        rate.admit()
    rate.tell()
    assert rate.spread_s == 200
    for _ in range(10_000):
        rate.admit()
    rate.tell()
    assert rate.spread_s == 300
    rate.tell()
    assert rate.spread_s == 10
