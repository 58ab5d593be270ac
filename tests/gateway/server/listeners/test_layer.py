from __future__ import annotations

import pytest

from gateway.server.listeners.layer import Layer
from tests.harness.transports import FakeTransport, Listener


class Plain(Layer):
    """A layer that changes nothing."""

    is_ready = True

    def data_received(self, data: bytes) -> None:
        self._upper.data_received(data)


@pytest.fixture
def upper():
    return Listener()


@pytest.fixture
def layer(upper):
    return Plain(upper)


@pytest.fixture
def wire(layer):
    transport = FakeTransport()
    transport.connect(layer)
    return transport


def test_the_protocol_above_stands_on_the_layer_from_the_start(wire, layer, upper):
    assert upper.transport is layer
    assert layer.get_protocol() is upper
    assert layer.get_extra_info("peername") == ("192.0.2.9", 5000)
    assert layer.get_extra_info("nothing", 7) == 7


def test_bytes_pass_both_ways(wire, layer, upper):
    wire.deliver(b"up")
    layer.write(b"do")
    layer.writelines([b"w", b"n"])
    assert (upper.received, wire.take()) == (b"up", b"down")


def test_nothing_is_written_before_the_layer_is_ready_or_after_it_closes(wire, layer):
    layer.is_ready = False
    layer.write(b"early")
    layer.is_ready = True
    layer.close()
    layer.write(b"late")
    assert wire.take() == b""
    assert layer.is_closing()
    assert not wire.is_open


def test_a_full_socket_pauses_the_writer_above(wire, layer, upper):
    layer.set_write_buffer_limits(high=10)
    assert wire.limits == (10, None)
    assert layer.get_write_buffer_limits() == (0, 10)
    layer.write(b"abc")
    assert layer.get_write_buffer_size() == 3
    layer.pause_writing()
    assert upper.is_clogged
    layer.resume_writing()
    assert not upper.is_clogged


def test_the_socket_is_read_only_while_the_layer_and_the_protocol_above_both_want(wire, layer):
    layer.pause_reading()
    layer.hold_reading()
    layer.resume_reading()
    assert not wire.is_reading_now
    layer.pause_reading()
    layer.release_reading()
    assert not wire.is_reading_now
    assert not layer.is_reading()
    layer.resume_reading()
    assert wire.is_reading_now
    assert layer.is_reading()


def test_the_end_of_the_connection_is_told_once(wire, layer, upper):
    layer.abort()
    layer.abort()
    layer.pause_reading()
    assert wire.was_aborted
    assert upper.is_lost
    assert layer.is_closing()


def test_another_protocol_can_take_over(wire, layer, upper):
    second = Listener()
    layer.set_protocol(second)
    wire.deliver(b"x")
    assert (upper.received, second.received) == (b"", b"x")
