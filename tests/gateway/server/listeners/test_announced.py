from __future__ import annotations

import logging
import ssl

import pytest

from gateway.server.listeners.announced import AnnouncedLayer
from gateway.server.listeners.proxy_protocol import SIGNATURE
from gateway.server.listeners.tls import TlsLayer
from gateway.server.listeners.tls_files import build_context
from tests.harness.tls_client import TlsClient
from tests.harness.transports import FakeTransport, Listener

HEADER = b"PROXY TCP4 198.51.100.4 192.0.2.1 4242 1883\r\n"
LOCAL = SIGNATURE + bytes.fromhex("20000000")


@pytest.fixture
def upper():
    return Listener()


@pytest.fixture
def wire(upper):
    transport = FakeTransport()
    transport.connect(AnnouncedLayer(upper))
    return transport


@pytest.mark.parametrize("cut", range(len(HEADER) + 3))
def test_what_follows_the_header_goes_to_the_protocol_above(wire, upper, cut):
    stream = HEADER + b"abc"
    for part in (stream[:cut], stream[cut:]):
        if part:
            wire.deliver(part)
    wire.deliver(b"def")
    assert upper.received == b"abcdef"


def test_the_client_is_the_announced_one(wire, upper):
    assert upper.transport.get_extra_info("peername") is None
    wire.deliver(HEADER)
    assert upper.transport.get_extra_info("peername") == ("198.51.100.4", 4242)
    assert upper.transport.get_extra_info("sockname") is None


def test_a_balancer_that_speaks_for_itself_keeps_its_own_address(wire, upper):
    wire.deliver(LOCAL + b"abc")
    assert upper.transport.get_extra_info("peername") == ("192.0.2.9", 5000)
    assert upper.received == b"abc"


def test_after_the_header_the_layer_is_out_of_the_way(wire, upper):
    wire.deliver(HEADER)
    assert wire.protocol is upper
    upper.transport.write(b"answer")
    assert wire.take() == b"answer"
    wire.close()
    assert upper.is_lost


def test_without_a_header_the_connection_is_cut(wire, upper, caplog):
    with caplog.at_level(logging.INFO):
        wire.deliver(b"\x10\x0c\x00\x04MQTT")
    assert wire.was_aborted
    assert (upper.received, upper.is_lost) == (b"", True)
    assert caplog.messages == ["closing 192.0.2.9:5000: no PROXY header"]


async def test_the_first_bytes_of_tls_may_come_with_the_header(
    certificates_made, handshakes, upper
):
    context = build_context(certificates_made.options())
    tls = TlsLayer(upper, lambda: context, handshakes)
    wire = FakeTransport()
    wire.connect(AnnouncedLayer(tls))
    client = TlsClient(wire, certificates_made.client_context())
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    wire.deliver(HEADER + client.outgoing.read())
    await client.connect()
    client.send(b"abc")
    assert upper.received == b"abc"
    assert upper.transport.get_extra_info("peername") == ("198.51.100.4", 4242)
