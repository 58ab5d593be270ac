from __future__ import annotations

from gateway.server.address_limit import AddressLimit


def test_a_host_may_have_as_many_as_the_limit():
    limit = AddressLimit(2)
    for beyond in (False, False, True):
        limit.enter("10.0.0.1")
        assert limit.is_beyond("10.0.0.1") is beyond
    assert not limit.is_beyond("10.0.0.1", spare=1)
    assert not limit.is_beyond("10.0.0.2")
    limit.leave("10.0.0.1")
    assert not limit.is_beyond("10.0.0.1")


def test_nobody_is_remembered_who_has_left():
    limit = AddressLimit(2)
    for _ in range(3):
        limit.enter("10.0.0.1")
    for _ in range(4):
        limit.leave("10.0.0.1")
    assert len(limit) == 0


def test_without_a_limit_nothing_is_counted():
    limit = AddressLimit(0)
    limit.enter("10.0.0.1")
    assert len(limit) == 0
    assert not limit.is_beyond("10.0.0.1")


def test_a_host_that_is_not_known_has_no_limit():
    limit = AddressLimit(1)
    limit.enter("")
    limit.enter("")
    assert not limit.is_beyond("")
