from __future__ import annotations

import asyncio

import pytest

from gateway.cli.messenger import NotDelivered, deliver
from tests.harness.gateway_process import free_port

CONNACK = bytes.fromhex("20 03 00 00 00")
PUBACK = bytes.fromhex("40 02 00 01")


async def answered(*answers):
    """Deliver to somebody who answers each thing that comes with the next of these."""
    heard, over = [], asyncio.Event()

    async def serve(reader, writer):
        for answer in answers:
            heard.append(await reader.read(1 << 16))
            writer.write(answer)
        await reader.read()
        writer.close()
        await writer.wait_closed()
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        try:
            await deliver("127.0.0.1", port, "alarms/hot/m1/ack", b"{}", "me")
        finally:
            await over.wait()
    return heard


async def test_a_message_is_delivered_when_it_is_acknowledged():
    connect, publish = await answered(CONNACK, PUBACK)
    assert connect.endswith(b"\x00\x02me")
    assert b"alarms/hot/m1/ack" in publish


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([bytes.fromhex("20 03 00 87 00")], "refused it: not authorized"),
        ([CONNACK, bytes.fromhex("40 04 00 01 97 00")], "refused it: quota exceeded"),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "no gateway"),
    ],
)
async def test_a_refusal_says_why(answers, why):
    with pytest.raises(NotDelivered, match=why):
        await answered(*answers)


async def test_where_nobody_listens_nothing_is_delivered():
    with pytest.raises(NotDelivered, match=r"no gateway at 127\.0\.0\.1"):
        await deliver("127.0.0.1", free_port(), "t", b"", "me")
