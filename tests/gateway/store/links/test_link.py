from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.errors import MemberFenced, StoreError, StoreUnavailable
from gateway.store.groups.calls import frame, read_frame
from gateway.store.links.link import TOLD, Link


@pytest.fixture
async def ends():
    """A link, and the reader and writer at its other end."""
    ours, theirs = socket.socketpair()
    link = Link(*await asyncio.open_unix_connection(sock=ours))
    reader, writer = await asyncio.open_unix_connection(sock=theirs)
    yield link, reader, writer
    await link.close()
    writer.close()


async def test_each_call_gets_its_own_answer_in_any_order(ends):
    link, reader, writer = ends
    first, second = (asyncio.create_task(link.call("c", n)) for n in (1, 2))
    (number, _, _), (other, name, arguments) = [await read_frame(reader) for _ in range(2)]
    assert (name, arguments) == ("c", [2])
    writer.write(frame([other, None, "b"]) + frame([number, None, "a"]))
    assert [await first, await second] == ["a", "b"]


async def test_an_error_is_raised_as_what_it_is(ends):
    link, reader, writer = ends
    for name, error in (("MemberFenced", MemberFenced), ("Strange", StoreError)):
        call = asyncio.create_task(link.call("c"))
        number, _, _ = await read_frame(reader)
        writer.write(frame([number, name, "why"]))
        with pytest.raises(error, match="why"):
            await call


async def test_what_is_told_is_heard_and_not_answered(ends):
    link, reader, writer = ends
    heard = asyncio.get_running_loop().create_future()
    link.told["news"] = lambda *arguments: heard.set_result(arguments)
    link.tell("hello", 1)
    assert await read_frame(reader) == [TOLD, "hello", [1]]
    writer.write(frame([TOLD, "news", [2, "x"]]))
    assert await heard == (2, "x")


async def test_an_answer_that_nobody_waits_for_is_dropped(ends):
    link, reader, writer = ends
    given_up = asyncio.create_task(link.call("c"))
    number, _, _ = await read_frame(reader)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    call = asyncio.create_task(link.call("d"))
    other, _, _ = await read_frame(reader)
    writer.write(frame([number, None, "late"]) + frame([other, None, "good"]))
    assert await call == "good"


async def test_when_the_gateway_is_gone_every_call_says_so(ends):
    link, reader, writer = ends
    call = asyncio.create_task(link.call("c"))
    await read_frame(reader)
    writer.close()
    with pytest.raises(StoreUnavailable, match="gone"):
        await call
    await link.ended
    with pytest.raises(StoreUnavailable, match="gone"):
        await link.call("c")
    link.tell("nobody")
