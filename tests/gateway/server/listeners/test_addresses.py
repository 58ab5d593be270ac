from __future__ import annotations

import pytest

from gateway.server.listeners.addresses import is_loopback, join_address, peer_of
from tests.harness.transports import FakeTransport


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.9.9.9", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("", False)],
)
def test_a_loopback_address_is_this_machines_own(host, expected):
    assert is_loopback(host) is expected


@pytest.mark.parametrize(("host", "text"), [("127.0.0.1", "127.0.0.1:1883"), ("::1", "[::1]:1883")])
def test_an_address_is_written_as_people_write_it(host, text):
    assert join_address(host, 1883) == text


@pytest.mark.parametrize(
    ("peer", "text"),
    [
        (("10.0.0.1", 4242), "10.0.0.1:4242"),
        (("2001:db8::1", 4242, 0, 0), "[2001:db8::1]:4242"),
        (None, "an unknown address"),
        ("", "an unknown address"),
    ],
)
def test_the_other_end_is_named_as_far_as_it_is_known(peer, text):
    assert peer_of(FakeTransport(peer)) == text
