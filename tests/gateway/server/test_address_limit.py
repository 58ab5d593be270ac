from __future__ import annotations

from gateway.mqtt import Connect, ReasonCode
from gateway.server.address_limit import AddressLimit
from tests.gateway.server.conftest import Client
from tests.harness.waiting import until


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


async def test_a_host_has_only_so_many_connections(edge):
    server = await edge(connections_per_address_max=2)
    clients = [Client(server, peer=("10.0.0.1", 1_000 + number)) for number in range(3)]
    other = Client(server, peer=("10.0.0.2", 1_000))
    assert other.connect("other").reason_code == ReasonCode.SUCCESS
    late = clients.pop()
    late.send(Connect("late"))
    assert late.heard()[0].reason_code == ReasonCode.QUOTA_EXCEEDED
    await until(lambda: len(server.hub.connections) == 3, "the end of the connection")
    for number, client in enumerate(clients):
        assert client.connect(f"c{number}").reason_code == ReasonCode.SUCCESS
        client.lose()
    other.lose()
    assert len(server.hub.addresses) == 0


async def test_a_host_that_floods_is_cut_off_before_it_says_connect(edge):
    server = await edge(connections_per_address_max=2)
    clients = [Client(server, peer=("10.0.0.1", number)) for number in range(1, 30)]
    await until(lambda: not clients[-1].is_open and len(server.hub.connections) < 20, "the end")
    assert len(server.hub.connections) == 2 + 16
