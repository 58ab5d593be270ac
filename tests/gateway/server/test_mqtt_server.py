from __future__ import annotations

import asyncio

import pytest

from gateway.errors import UnknownStream
from gateway.mqtt import (
    Connack,
    Connect,
    Disconnect,
    ProtocolVersion,
    Puback,
    Publish,
    ReasonCode,
    Sender,
    decode_packet,
    encode_packet,
)
from gateway.server import AddressUnavailable, ListenerOptions
from tests.faults.attacks import attacks, connect
from tests.gateway.server.conftest import Client
from tests.harness.waiting import until

V5 = ProtocolVersion.V5
ANY_PORT = (ListenerOptions(port=0),)


class Peer:
    """A client over a real socket."""

    @classmethod
    async def reach(cls, address):
        made = cls()
        made.reader, made.writer = await asyncio.open_connection(*address)
        return made

    def send(self, packet):
        self.writer.write(encode_packet(packet, V5))

    async def hear(self):
        received = b""
        async with asyncio.timeout(10):
            while (found := decode_packet(received, 0, V5, 1 << 20, Sender.SERVER)) is None:
                byte = await self.reader.readexactly(1)
                received += byte
        return found[0]

    async def leave(self):
        self.writer.close()
        await self.writer.wait_closed()


@pytest.fixture
async def listening(edge):
    """Start a server that listens; returns it and its addresses."""

    async def start(listeners=ANY_PORT, **options):
        server = await edge(listeners=listeners, **options)
        return server, [listener.sockets[0].getsockname()[:2] for listener in sockets_of(server)]

    return start


def sockets_of(server):
    return server.listeners._servers


async def test_a_client_is_served_over_a_socket(listening):
    server, (address,) = await listening()
    peer = await Peer.reach(address)
    peer.send(Connect("c"))
    assert isinstance(await peer.hear(), Connack)
    peer.send(Publish("power/m", b"1", 1, 7))
    assert await peer.hear() == Puback(7)
    assert server.store.payloads() == {("power", 0): [b"1"]}
    await peer.leave()


async def test_a_port_in_use_is_one_error_that_says_what_to_do(listening):
    _, (address,) = await listening()
    with pytest.raises(AddressUnavailable, match="the port is in use; choose another"):
        await listening((ListenerOptions(port=address[1]),))


async def test_an_address_of_another_machine_is_one_error(listening):
    with pytest.raises(AddressUnavailable, match=r"can't listen on 192\.0\.2\.1:0"):
        await listening((ListenerOptions("192.0.2.1", 0),))


async def test_stopping_says_goodbye_and_lets_nobody_in(listening):
    server, (address,) = await listening()
    peer = await Peer.reach(address)
    peer.send(Connect("c"))
    await peer.hear()
    await server.stop()
    farewell = await peer.hear()
    assert isinstance(farewell, Disconnect)
    assert farewell.reason_code == ReasonCode.SERVER_SHUTTING_DOWN
    assert await peer.reader.read() == b""
    await peer.leave()
    with pytest.raises(OSError, match=r"."):
        await Peer.reach(address)
    assert all(task.done() for task in server.tasks)


@pytest.mark.parametrize("seed", [1, 2])
async def test_hostile_clients_leave_nothing_behind(edge, seed):
    server = await edge()
    before = asyncio.all_tasks()
    for attack in attacks(seed, 600):
        client = Client(server)
        if attack.version is not None:
            client.send_bytes(connect(attack.version))
        client.send_bytes(attack.sent)
        if client.is_open:
            client.lose()
    await until(lambda: not server.hub.connections, "everybody to be gone")
    await until(lambda: asyncio.all_tasks() <= before, "their tasks to end")
    assert server.hub.connected == len(server.hub.takeovers) == len(server.hub.quotas) == 0
    assert len(server.fanout.tree) == 0
    await until(lambda: server.ingest.uncommitted_bytes == 0, "the last commit")


async def test_what_a_command_publishes_is_durable_when_that_returns(edge):
    server = await edge()
    await server.publish("plant/p/t", b"1", "$command")
    assert server.store.payloads("rest") != {}
    with pytest.raises(UnknownStream, match="no stream takes the topic 'nowhere/x'"):
        await server.publish("nowhere/x", b"1", "$command")
