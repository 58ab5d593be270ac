from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.server import lingering
from gateway.server.lingering import linger


class Farewell(asyncio.Protocol):
    """Says goodbye to whoever comes, and lingers."""

    def __init__(self):
        self.transport = None
        self.ended = asyncio.get_running_loop().create_future()
        self.heard = b""

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"because")
        assert linger(transport, self)

    def data_received(self, data):
        self.heard += data

    def connection_lost(self, exc):
        self.ended.set_result(exc)


@pytest.fixture
async def meeting():
    """A client's socket, and what it has connected to."""
    made = []

    def protocol():
        made.append(Farewell())
        return made[-1]

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname())
    client.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=client)
    # The reason is here before the client has sent anything.
    assert await reader.readexactly(7) == b"because"
    yield reader, writer, made[0]
    writer.close()
    server.close()
    await server.wait_closed()


async def test_who_is_still_sending_reads_the_reason_and_the_end(meeting):
    reader, writer, farewell = meeting
    for _ in range(100):
        writer.write(b"x" * 100)
        await writer.drain()
    assert await reader.read() == b""
    writer.close()
    assert await asyncio.wait_for(farewell.ended, 10) is None
    assert farewell.heard == b""


async def test_who_goes_on_for_ever_is_cut_off(meeting, monkeypatch):
    monkeypatch.setattr(lingering, "UNHEARD_BYTES_MAX", 1_000)
    _, writer, farewell = meeting
    writer.write(b"x" * 1_001)
    await asyncio.wait_for(farewell.ended, 10)


async def test_a_transport_that_ends_at_once_or_not_at_all_can_not_linger():
    assert not linger(asyncio.Transport(), asyncio.Protocol())
