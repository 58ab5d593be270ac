from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gateway.server import ListenerOptions, ServerOptions, TlsOptions, is_loopback


def test_every_limit_is_set():
    values = dataclasses.asdict(ServerOptions())
    assert values.pop("connections_per_address_max") == 0  # it is off: balancers are one address
    assert values.pop("repeat_windows_ms", {}) == {}  # by stream; none has its own
    limits = [value for name, value in values.items() if name.endswith(("_max", "_ms"))]
    assert limits
    assert all(value > 0 for value in limits)


def test_by_default_only_this_machine_is_listened_to():
    (listener,) = ServerOptions().listeners
    assert is_loopback(listener.host)
    assert listener.tls is None


def test_the_files_of_a_tls_listener_are_told_in_a_fixed_order():
    assert TlsOptions(Path("c"), Path("k")).paths() == [Path("c"), Path("k")]
    every = TlsOptions(Path("c"), Path("k"), Path("a"), "required", Path("r"))
    assert every.paths() == [Path("c"), Path("k"), Path("a"), Path("r")]


@pytest.mark.parametrize(
    ("asked", "expected"), [("none", False), ("optional", False), ("required", True)]
)
def test_only_a_required_certificate_shows_who_somebody_is(asked, expected):
    tls = TlsOptions(Path("c"), Path("k"), Path("a"), asked)
    assert ListenerOptions(tls=tls).asks_who is expected
    assert not ListenerOptions().asks_who
