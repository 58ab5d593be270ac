from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import ManualClock
from gateway.server.listeners.upgrade import Wanted
from gateway.server.listeners.websocket import HalfFrames, WebSocketLayer
from tests.harness.transports import FakeTransport, Listener
from tests.harness.websocket_client import (
    ACCEPT,
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    frame,
    read_frames,
    request,
)

PACKET_WITHIN_MS = 10_000
MESSAGE_BYTES_MAX = 1_000


class Ends:
    """A WebSocket layer with a transport below and a protocol above."""

    def __init__(self, clock=None):
        self.half_frames = HalfFrames(clock or ManualClock(), PACKET_WITHIN_MS)
        self.upper = Listener()
        wanted = Wanted("/mqtt", (), MESSAGE_BYTES_MAX)
        self.layer = WebSocketLayer(self.upper, wanted, self.half_frames)
        self.wire = FakeTransport()
        self.wire.connect(self.layer)

    def open(self):
        self.wire.deliver(request())
        assert self.wire.take().startswith(b"HTTP/1.1 101 ")
        return self

    def read(self):
        """The frames that the server has written."""
        return read_frames(self.wire.take())

    @property
    def close_code(self):
        """The code of the Close frame that the server wrote last."""
        last = self.read()[-1]
        assert last.opcode == CLOSE
        return int.from_bytes(last.payload[:2], "big")


@pytest.fixture
def ends():
    return Ends().open()


# The upgrade


@pytest.mark.spec("MQTT5-6.0.0-4")
@pytest.mark.spec("MQTT311-6.0.0-4")
@pytest.mark.parametrize("offer", ["mqtt", "mqttv3.1, mqtt", "chat,mqtt"])
def test_the_upgrade_is_granted_with_the_subprotocol_mqtt(offer):
    ends = Ends()
    ends.wire.deliver(request(Sec_WebSocket_Protocol=offer))
    answer = ends.wire.take().decode().split("\r\n")
    assert answer[0] == "HTTP/1.1 101 Switching Protocols"
    assert f"Sec-WebSocket-Accept: {ACCEPT}" in answer
    assert "Sec-WebSocket-Protocol: mqtt" in answer


@pytest.mark.spec("MQTT5-6.0.0-3")
@pytest.mark.spec("MQTT311-6.0.0-3")
@pytest.mark.parametrize("offer", [None, "mqttv3.1", "MQTT", "chat"])
def test_without_the_subprotocol_mqtt_there_is_no_upgrade(offer):
    ends = Ends()
    ends.wire.deliver(request(Sec_WebSocket_Protocol=offer))
    assert ends.wire.take().startswith(b"HTTP/1.1 400 ")
    assert ends.upper.is_lost


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (request("/"), b"404"),
        (request(Origin="https://evil.example"), b"403"),
        (request(Upgrade=None), b"426"),
        (request(Sec_WebSocket_Version="8"), b"400"),
        (request(Sec_WebSocket_Key="short"), b"400"),
    ],
)
def test_a_request_for_something_else_is_refused_with_a_reason(asked, status):
    ends = Ends()
    ends.wire.deliver(asked)
    head, _, body = ends.wire.take().partition(b"\r\n\r\n")
    assert head.split()[1] == status
    assert body
    assert ends.upper.is_lost


@pytest.mark.parametrize(
    "rubbish",
    [
        bytes.fromhex("100c00044d51545404020000000000"),
        b"POST /mqtt HTTP/1.1\r\n\r\n",
        b"\r\n",
        request("/") + b"\xff\xff\xff",
        request() + b"\xff\xff\xff",
    ],
)
def test_what_is_no_upgrade_ends_the_connection(rubbish):
    ends = Ends()
    ends.wire.deliver(rubbish + b"\r\n\r\n")
    assert (ends.upper.is_lost, ends.upper.received) == (True, b"")


def test_a_request_that_never_ends_is_cut_off():
    ends = Ends()
    ends.wire.deliver(b"GET /mqtt HTTP/1.1\r\n")
    for _ in range(3):
        ends.wire.deliver(b"A: " + b"a" * (5 << 10) + b"\r\n")
    assert ends.wire.is_open
    ends.wire.deliver(b"A: " + b"a" * (5 << 10) + b"\r\n")
    assert ends.wire.was_aborted


def test_nothing_is_written_before_the_upgrade():
    ends = Ends()
    ends.layer.write(b"early")
    assert ends.wire.take() == b""
    ends.layer.close()
    assert not ends.wire.is_open


@pytest.mark.parametrize("cut", range(len(request())))
def test_a_request_may_come_in_parts(cut):
    ends = Ends()
    for part in (request()[:cut], request()[cut:]):
        if part:
            ends.wire.deliver(part)
    assert ends.wire.take().startswith(b"HTTP/1.1 101 ")


# Frames in


@pytest.mark.spec("MQTT5-6.0.0-2")
@pytest.mark.spec("MQTT311-6.0.0-2")
def test_packets_need_not_keep_to_frames(ends):
    ends.wire.deliver(frame(BINARY, b"ab", fin=False))
    ends.wire.deliver(frame(CONTINUATION, b"c", fin=False) + frame(CONTINUATION, b"de"))
    ends.wire.deliver(frame(BINARY, b"f") + frame(BINARY, b"") + frame(BINARY, b"gh"))
    assert ends.upper.received == b"abcdefgh"
    assert ends.upper.deliveries == 3


@pytest.mark.spec("MQTT5-6.0.0-1")
@pytest.mark.spec("MQTT311-6.0.0-1")
@pytest.mark.parametrize(
    "text",
    [
        frame(TEXT, b"text") + frame(BINARY, b"after"),
        frame(TEXT, b"te", fin=False) + frame(CONTINUATION, b"xt"),
    ],
)
def test_a_text_frame_ends_the_connection(ends, text):
    ends.wire.deliver(frame(BINARY, b"before") + text)
    assert ends.upper.received == b"before"
    assert ends.close_code == 1003
    assert ends.upper.is_lost


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(BINARY, b"x", mask=None), 1002),
        (frame(CONTINUATION, b"x"), 1002),
        (frame(3, b"x"), 1002),
        (b"\xc2\x80\0\0\0\0", 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(PING, b"x", fin=False), 1002),
        (frame(BINARY, b"x", fin=False) + frame(BINARY, b"x"), 1002),
        (frame(BINARY, bytes(MESSAGE_BYTES_MAX + 1)), 1009),
        (frame(BINARY, bytes(MESSAGE_BYTES_MAX), fin=False) + frame(CONTINUATION, b"x"), 1009),
    ],
)
def test_a_broken_or_oversized_frame_ends_the_connection(ends, sent, code):
    ends.wire.deliver(sent)
    assert ends.close_code == code
    assert ends.upper.is_lost


def test_the_largest_message_is_taken(ends):
    ends.wire.deliver(frame(BINARY, bytes(MESSAGE_BYTES_MAX)))
    assert len(ends.upper.received) == MESSAGE_BYTES_MAX


def test_a_ping_is_answered_also_between_fragments(ends):
    ends.wire.deliver(frame(BINARY, b"a", fin=False))
    ends.wire.deliver(frame(PING, b"1") + frame(CONTINUATION, b"b") + frame(PONG, b"2"))
    assert ends.read() == [Frame(PONG, b"1")]
    assert ends.upper.received == b"ab"


def test_pongs_do_not_pile_up_for_a_client_that_does_not_read(ends):
    ends.layer.pause_writing()
    assert ends.upper.is_clogged
    ends.wire.deliver(frame(PING, b"x") * 1_000 + frame(BINARY, b"still heard"))
    assert ends.wire.take() == b""
    assert ends.upper.received == b"still heard"
    ends.layer.resume_writing()
    ends.wire.deliver(frame(PING, b"y"))
    assert ends.read() == [Frame(PONG, b"y")]


STREAM = (
    frame(BINARY, b"first", fin=False)
    + frame(PING, b"p")
    + frame(CONTINUATION, b"", fin=False)
    + frame(CONTINUATION, b"second")
    + frame(BINARY, bytes(range(200)))
    + frame(PONG)
    + frame(BINARY, b"last")
)
CARRIED = b"firstsecond" + bytes(range(200)) + b"last"


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, len(request() + STREAM)), max_size=12))
def test_a_stream_may_be_cut_anywhere(cuts):
    ends = Ends()
    stream = request() + STREAM
    bounds = [0, *sorted(cuts), len(stream)]
    for start, end in itertools.pairwise(bounds):
        if start < end:
            ends.wire.deliver(stream[start:end])
    assert ends.upper.received == CARRIED
    assert len(ends.half_frames) == 0
    assert ends.wire.is_open


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_a_stream_may_be_cut_at_every_place(ends, cut):
    for part in (STREAM[:cut], STREAM[cut:]):
        if part:
            ends.wire.deliver(part)
    assert ends.upper.received == CARRIED


@settings(max_examples=300, deadline=None)
@given(st.booleans(), st.lists(st.binary(min_size=1, max_size=40), max_size=6))
def test_any_bytes_are_taken_or_end_the_connection(is_upgraded, parts):
    ends = Ends()
    if is_upgraded:
        ends.open()
    for part in parts:
        ends.wire.deliver(part)
    assert ends.upper.is_lost is not ends.wire.is_open


# Frames out


@pytest.mark.parametrize("length", [1, 125, 126, 65_535, 65_536])
def test_what_is_written_leaves_as_one_binary_frame(ends, length):
    ends.layer.write(memoryview(bytes(length)))
    assert ends.read() == [Frame(BINARY, bytes(length))]


# The end


async def test_a_goodbye_of_ours_waits_for_the_clients_answer(ends):
    ends.layer.pause_reading()
    ends.layer.write(b"last")
    ends.layer.close()
    ends.layer.close()
    ends.layer.write(b"late")
    assert [one.opcode for one in ends.read()] == [BINARY, CLOSE]
    assert ends.layer.is_closing()
    assert ends.wire.is_open
    ends.wire.deliver(frame(BINARY, b"too late") + frame(CLOSE, b"\x03\xe8"))
    assert (ends.upper.received, ends.upper.is_lost) == (b"", True)


async def test_a_client_that_does_not_answer_the_goodbye_is_closed_all_the_same(ends, monkeypatch):
    monkeypatch.setattr("gateway.server.listeners.websocket.GOODBYE_S", 0.0)
    lost = asyncio.get_running_loop().create_future()
    ends.upper.connection_lost = lost.set_result
    ends.layer.close()
    async with asyncio.timeout(10):
        assert await lost is None


def test_a_clients_goodbye_is_answered(ends):
    ends.wire.deliver(frame(BINARY, b"last") + frame(CLOSE, b"\x03\xe9bye"))
    assert ends.read() == [Frame(CLOSE, b"\x03\xe9bye")]
    assert (ends.upper.received, ends.upper.is_lost) == (b"last", True)


# Half frames


def test_a_client_that_sends_half_a_frame_is_closed_in_time():
    clock = ManualClock()
    ends = Ends(clock).open()
    ends.wire.deliver(frame(BINARY, bytes(500))[:300])
    held_bytes = ends.layer.held_bytes
    assert held_bytes > 200
    clock.advance(PACKET_WITHIN_MS + held_bytes)
    ends.half_frames.sweep()
    assert ends.wire.is_open
    clock.advance(1)
    ends.half_frames.sweep()
    assert ends.wire.was_aborted
    assert len(ends.half_frames) == 0


def test_who_sends_on_or_is_not_read_has_time_anew():
    clock = ManualClock()
    ends = Ends(clock).open()
    one = frame(BINARY, bytes(500))
    ends.wire.deliver(one[:300])
    for _ in range(3):
        clock.advance(PACKET_WITHIN_MS)
        ends.wire.deliver(one[300:] + one[:300])
        ends.half_frames.sweep()
    ends.layer.pause_reading()
    clock.advance(10 * PACKET_WITHIN_MS)
    ends.half_frames.sweep()
    ends.layer.resume_reading()
    clock.advance(PACKET_WITHIN_MS)
    ends.half_frames.sweep()
    assert ends.wire.is_open
