from __future__ import annotations

from gateway.metrics import Counters
from gateway.mqtt import Pingreq
from gateway.server.spilling import ClaimLimits
from gateway.server.streaming import BEHIND_MAX, PIECE_BYTES, Writer, stream_payload
from gateway.session import Outgoing, Streamed
from gateway.store import BlobStore
from tests.gateway.server.conftest import Client, Pipe
from tests.harness.waiting import until

CONTENT = bytes(range(256)) * 2_000


class Connection:
    """A connection that counts how often it was asked to look whether it reads."""

    def __init__(self):
        self.writable = Pipe()
        self.looked = 0

    def read_or_not(self):
        self.looked += 1


def writer():
    connection = Connection()
    return Writer(connection, Counters(), 1 << 20), connection


async def read_piece(digest, start, size_bytes):
    return CONTENT[start : start + size_bytes]


async def no_wait():
    return None


def message(size_bytes):
    return Streamed(Outgoing(b"t", b"", 0x12, b"", 0), "digest", size_bytes)


async def test_a_payload_is_written_piece_by_piece():
    written, connection = writer()
    assert await stream_payload(written, read_piece, message(len(CONTENT)), no_wait)
    assert connection.writable.written == CONTENT


async def test_a_blob_that_ends_too_early_is_said(caplog):
    written, _ = writer()
    assert not await stream_payload(written, read_piece, message(len(CONTENT) + 1), no_wait)
    assert "ended after 512000 bytes" in caplog.text


def test_what_is_said_meanwhile_comes_behind_the_pieces():
    written, connection = writer()
    written.hold_back()
    assert connection.writable.high == PIECE_BYTES
    written.stream(b"piece 1 ")
    written.write(b"answer")
    written.stream(b"piece 2 ")
    written.let_go()
    written.write(b" more")
    assert connection.writable.written == b"piece 1 piece 2 answer more"
    assert connection.writable.high == 1 << 20


def test_nothing_more_is_read_when_too_many_answers_wait():
    written, connection = writer()
    written.hold_back()
    for _ in range(BEHIND_MAX + 1):
        assert not written.is_owed_much
        written.write(b"answer")
    assert written.is_owed_much
    assert connection.looked == BEHIND_MAX + 1
    written.let_go()
    assert not written.is_owed_much


def test_a_client_that_is_gone_is_written_nothing():
    written, connection = writer()
    pipe, connection.writable = connection.writable, None
    written.hold_back()
    written.stream(b"piece")
    written.write(b"answer")
    written.let_go()
    assert pipe.written == b""


async def test_a_ping_during_a_large_payload_is_answered_behind_it(edge, tmp_path):
    server = await edge()
    server.keep_large(BlobStore(tmp_path, server.hub.clock), ClaimLimits(bytes_default=1_000))
    subscriber, publisher = Client(server), Client(server)
    subscriber.connect("s")
    publisher.connect("p")
    await subscriber.subscribe("power/#")
    subscriber.pipe.is_blocked = True
    publisher.publish("power/d/x", CONTENT)
    await until(lambda: subscriber.pipe._is_clogged, "a full socket")
    subscriber.send(Pingreq())
    subscriber.pipe.unblock()
    found = []
    await until(lambda: found.extend(subscriber.heard()) or len(found) == 2, "two packets")
    assert [type(packet).__name__ for packet in found] == ["Publish", "Pingresp"]
    assert found[0].payload == CONTENT
