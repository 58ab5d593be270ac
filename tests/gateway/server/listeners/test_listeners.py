from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl

import pytest

from gateway.server import AddressUnavailable, ListenerOptions, ServerOptions, TlsFilesInvalid
from gateway.server.listeners import listeners as listeners_module
from gateway.server.listeners.listeners import Listeners, describe
from tests.harness.certificates import serial_of
from tests.harness.waiting import until
from tests.harness.websocket_client import BINARY, frame, request

HEADER = b"PROXY TCP4 198.51.100.4 192.0.2.1 4242 1883\r\n"
CLIENTS = 100


class Echo(asyncio.Protocol):
    """Says back what it hears, and who it thinks it hears it from."""

    everybody: list[Echo]

    def connection_made(self, transport):
        self.transport = transport
        self.is_lost = False
        Echo.everybody.append(self)

    def data_received(self, data):
        self.transport.write(data)

    def connection_lost(self, exc):
        self.is_lost = True


@pytest.fixture
async def serve(clock):
    """Open listeners, and close everything in the end."""
    Echo.everybody = []
    async with contextlib.AsyncExitStack() as stack:

        async def open_all(*options, **limits):
            listeners = Listeners(ServerOptions(listeners=options, **limits), Echo, clock)
            stack.callback(listeners.end)
            stack.callback(listeners.close)
            addresses = await listeners.open()
            return listeners, [port for _, port in addresses]

        yield open_all
        for echo in Echo.everybody:
            echo.transport.abort()


@contextlib.asynccontextmanager
async def connected(port, context=None):
    """A client's two streams."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost" if context else None
        )
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


async def echo(port, data, length, context=None):
    """What comes back for some bytes."""
    async with connected(port, context) as (reader, writer):
        writer.write(data)
        return await reader.readexactly(length)


def plain(**options):
    return ListenerOptions(port=0, **options)


async def test_every_kind_of_listener_at_once(serve, certificates_made):
    tls = certificates_made.options()
    _, ports = await serve(
        plain(),
        plain(tls=tls),
        plain(kind="ws"),
        plain(kind="ws", tls=tls),
        plain(proxy_protocol=True),
        plain(kind="ws", tls=tls, proxy_protocol=True),
    )
    context = certificates_made.client_context()
    upgrade = request() + frame(BINARY, b"abc")
    assert await echo(ports[0], b"abc", 3) == b"abc"
    assert await echo(ports[1], b"abc", 3, context) == b"abc"
    assert await echo(ports[2], upgrade, 12) == b"HTTP/1.1 101"
    assert await echo(ports[3], upgrade, 12, context) == b"HTTP/1.1 101"
    assert await echo(ports[4], HEADER + b"abc", 3) == b"abc"
    assert Echo.everybody[-1].transport.get_extra_info("peername") == ("198.51.100.4", 4242)
    async with connected(ports[5]) as (reader, writer):
        writer.write(HEADER)
        await writer.start_tls(context, server_hostname="localhost")
        writer.write(upgrade)
        assert await reader.readuntil(b"\x82\x03abc")
        assert Echo.everybody[-1].transport.get_extra_info("peername") == ("198.51.100.4", 4242)


async def test_a_plain_listener_hands_the_protocol_straight_to_the_loop(serve):
    _, (port,) = await serve(plain())
    async with connected(port) as (reader, writer):
        writer.write(b"x")
        await reader.readexactly(1)
        (transport,) = [one.transport for one in Echo.everybody]
        assert transport.get_protocol() is Echo.everybody[0]
        assert type(transport).__module__.startswith("asyncio.")


async def test_the_listeners_say_what_they_are(serve, certificates_made):
    tls = certificates_made.options("required")
    listeners, ports = await serve(plain(host="::1"), plain(kind="ws", tls=tls))
    assert listeners.descriptions == [
        f"[::1]:{ports[0]} (MQTT, anonymous, this machine only)",
        f"127.0.0.1:{ports[1]} (MQTT over WebSocket at /mqtt over TLS, "
        "client certificates required)",
    ]


def test_a_balancer_is_named(certificates_made):
    options = plain(proxy_protocol=True, tls=certificates_made.options("optional"))
    assert describe(options) == (
        "MQTT over TLS, behind a PROXY-protocol balancer, client certificates optional, "
        "anonymous, this machine only"
    )


async def test_a_port_in_use_is_named(serve):
    _, (port,) = await serve(plain())
    with pytest.raises(AddressUnavailable) as caught:
        await serve(ListenerOptions(port=port))
    assert str(caught.value) == (
        f"can't listen on 127.0.0.1:{port}: the port is in use; choose another with --port, or "
        "stop what listens there"
    )


async def test_an_address_of_another_machine_is_named(serve):
    with pytest.raises(AddressUnavailable, match=r"can't listen on 192\.0\.2\.1:0: "):
        await serve(plain(host="192.0.2.1"))


async def test_wrong_files_are_found_before_anybody_listens(serve, certificates):
    certificates.write("server.pem", b"x")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(TlsFilesInvalid):
        await serve(ListenerOptions(port=port), plain(tls=certificates.options()))
    with pytest.raises(ConnectionRefusedError):
        await echo(port, b"x", 1)


async def test_connections_beyond_the_rate_are_closed_at_once(serve, clock, caplog):
    listeners, (port,) = await serve(plain(), connects_per_s_max=1)
    assert await echo(port, b"abc", 3) == b"abc"
    for _ in range(2):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await echo(port, b"abc", 3)
    clock.advance(1_000)
    assert await echo(port, b"abc", 3) == b"abc"
    listeners.sweep()
    assert caplog.messages == ["2 connections refused: more than 1 a second (limits: connect_rate)"]


async def test_half_frames_are_swept(serve, clock):
    listeners, (port,) = await serve(plain(kind="ws"))
    async with connected(port) as (reader, writer):
        writer.write(request())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(frame(BINARY, b"abc")[:-1])
        await until(lambda: listeners._half_frames, "half a frame")
        clock.advance(ServerOptions().packet_within_ms + 100)
        listeners.sweep()
        assert await reader.read() == b""
    assert Echo.everybody[0].is_lost


async def serial_of_the_server(port, context):
    async with connected(port, context) as (_, writer):
        return serial_of(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))


async def test_certificates_are_renewed_under_live_clients(serve, certificates, caplog):
    listeners, (port,) = await serve(plain(tls=certificates.options("required")), backlog=CLIENTS)
    context = certificates.client_context(certificates.client_leaf())
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(port, context)) for _ in range(100)]
        old_serial = certificates.server_serial()
        assert await serial_of_the_server(port, context) == old_serial

        # A new chain: clients of new handshakes see it.
        certificates.write_server()
        await listeners.look()
        await listeners.look()
        assert await serial_of_the_server(port, context) == certificates.server_serial()
        assert certificates.server_serial() != old_serial

        # A bad file: the last good chain stays.
        good_serial = certificates.server_serial()
        certificates.write("server.key", b"half of a key")
        await listeners.look(is_forced=True)
        assert await serial_of_the_server(port, context) == good_serial
        assert [record.levelname for record in caplog.records] == ["ERROR"]

        # A new authority: clients of the old one get in no more.
        certificates.write_server()
        certificates.write("ca.pem", certificates.server_ca.cert_pem.bytes())
        await listeners.look(is_forced=True)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await echo(port, b"x", 1, context)

        # And nobody who was there has noticed any of it.
        for reader, writer in clients:
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"


async def test_files_are_watched_and_renewed_on_demand(serve, certificates, monkeypatch):
    monkeypatch.setattr(listeners_module, "LOOK_S", 0.005)
    listeners, _ = await serve(plain(tls=certificates.options()))
    (files,) = listeners.tls_files
    first = files.context
    watching = asyncio.create_task(listeners.watch())
    try:
        certificates.write_server()
        await until(lambda: files.context is not first, "the new files")
        second = files.context
        listeners.renew()
        await until(lambda: files.context is not second, "the files again")
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def test_a_listener_that_is_closed_keeps_its_connections(serve):
    listeners, (port,) = await serve(plain())
    async with connected(port) as (reader, writer):
        writer.write(b"a")
        await reader.readexactly(1)
        listeners.close()
        writer.write(b"b")
        assert await reader.readexactly(1) == b"b"
        with pytest.raises(ConnectionRefusedError):
            await echo(port, b"x", 1)


async def test_whoever_stops_halfway_is_closed_within_the_time_for_connect(
    edge, clock, certificates_made
):
    tls = certificates_made.options()
    halves = {
        plain(): b"\x10",
        plain(tls=tls): b"\x16\x03\x01",
        plain(kind="ws"): b"GET /mqtt HTTP/1.1\r\n",
        plain(kind="ws", tls=tls): b"",
        plain(proxy_protocol=True, tls=tls): HEADER[:-1],
        plain(proxy_protocol=True): HEADER,
    }
    options = ServerOptions()
    server = await edge(clock=clock, listeners=tuple(halves))
    async with contextlib.AsyncExitStack() as stack:
        readers = []
        for listening, half in zip(server.listeners._servers, halves.values(), strict=True):
            port = listening.sockets[0].getsockname()[1]
            reader, writer = await stack.enter_async_context(connected(port))
            writer.write(half)
            readers.append(reader)
        await until(lambda: len(server.hub._connections) == len(halves), "everybody")
        await until(lambda: len(server.listeners.handshakes) == 1, "a handshake")
        clock.advance(options.connect_within_ms)
        server.hub.sweep()
        assert len(server.hub._connections) == len(halves)
        clock.advance(1)
        server.hub.sweep()
        for reader in readers:
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        await until(lambda: not server.hub._connections, "nobody")
        assert len(server.listeners.handshakes) == 0


async def test_the_hub_counts_a_connection_before_its_handshake(edge, clock, certificates_made):
    server = await edge(clock=clock, listeners=(plain(tls=certificates_made.options()),))
    (listening,) = server.listeners._servers
    async with connected(listening.sockets[0].getsockname()[1]):
        await until(lambda: len(server.hub._connections) == 1, "the connection")
        assert server.hub.connected == 0


async def test_stopping_waits_for_nobody_who_is_halfway(edge, clock, certificates_made):
    server = await edge(clock=clock, listeners=(plain(tls=certificates_made.options()),))
    (listening,) = server.listeners._servers
    async with connected(listening.sockets[0].getsockname()[1]) as (reader, writer):
        writer.write(b"\x16\x03\x01")
        await until(lambda: server.hub._connections, "somebody")
        await server.stop()
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
