from __future__ import annotations

import pytest

from gateway.mqtt import (
    Connack,
    Connect,
    ProtocolVersion,
    ReasonCode,
    Sender,
    decode_packet,
    encode_packet,
)
from gateway.server.listeners.explanations import (
    CONNECT_BYTES_MAX,
    TOLD_AT_ONCE_MAX,
    Explanation,
    Explanations,
    draw_retry_s,
)
from tests.harness.transports import FakeTransport


@pytest.fixture
def explanations(clock):
    return Explanations(clock)


def refused(explanations, spread_s=10):
    wire = FakeTransport()
    wire.connect(Explanation(explanations, spread_s))
    return wire


def connect(version):
    return encode_packet(Connect("c", version), version)


def answer(wire, version):
    packet, _ = decode_packet(wire.take(), 0, version, 1_000, Sender.SERVER)
    assert isinstance(packet, Connack)
    return packet


def test_mqtt_5_hears_why_and_when_to_come_back(explanations):
    wire = refused(explanations)
    whole = connect(ProtocolVersion.V5)
    for byte in whole[:9]:
        wire.deliver(bytes([byte]))
    said = answer(wire, ProtocolVersion.V5)
    assert said.reason_code == ReasonCode.CONNECTION_RATE_EXCEEDED
    ((name, seconds),) = said.properties.user_properties
    assert name == "penstock-retry-after"
    assert 1 <= int(seconds) <= 10
    assert f"connect again in {seconds} s" in said.properties.reason_string
    assert not wire.is_open
    assert len(explanations) == 0


def test_3_1_1_hears_that_the_server_is_unavailable(explanations):
    wire = refused(explanations)
    wire.deliver(connect(ProtocolVersion.V3_1_1))
    assert wire.take() == b"\x20\x02\x00\x03"


def test_only_so_many_are_told_at_once(explanations):
    for _ in range(TOLD_AT_ONCE_MAX):
        assert explanations.has_room
        refused(explanations)
    assert not explanations.has_room


def test_who_does_not_say_connect_in_time_is_closed(explanations, clock):
    silent = refused(explanations)
    clock.advance(999)
    explanations.sweep()
    assert silent.is_open
    clock.advance(1)
    explanations.sweep()
    assert silent.was_aborted
    assert len(explanations) == 0


@pytest.mark.parametrize("rubbish", [b"\x10" * CONNECT_BYTES_MAX, b"GET / HTTP/1.1\r\n"])
def test_rubbish_is_not_kept(explanations, rubbish):
    wire = refused(explanations)
    wire.deliver(rubbish)
    assert wire.was_aborted
    assert not wire.written


def test_who_is_refused_together_does_not_return_together():
    drawn = {draw_retry_s(20) for _ in range(500)}
    assert len(drawn) > 10
    assert min(drawn) >= 1
    assert max(drawn) <= 20
    assert draw_retry_s(0) == 1
