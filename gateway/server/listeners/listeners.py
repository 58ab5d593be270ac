"""Every listener of the gateway: opened together, swept once a second, renewed without a break."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.clock import Clock
from gateway.errors import PenstockError
from gateway.server.listeners.addresses import is_loopback, join_address
from gateway.server.listeners.announced import AnnouncedLayer
from gateway.server.listeners.connect_rate import ConnectRate, Refusal
from gateway.server.listeners.explanations import Explanation, Explanations
from gateway.server.listeners.handshakes import Handshakes
from gateway.server.listeners.tls import TlsLayer
from gateway.server.listeners.tls_files import TlsFiles
from gateway.server.options import ListenerOptions, ServerOptions

if TYPE_CHECKING:
    from gateway.server.listeners.websocket import HalfFrames

# How often the files of TLS listeners are looked at; a change counts when it has rested that long.
LOOK_S = 2.0
LOG = logging.getLogger(__name__)

Build = Callable[[], asyncio.Protocol]


class AddressUnavailable(PenstockError):
    """A listener's address can't be bound."""


class Listeners:
    """Makes of each accepted connection a protocol that `build` makes, under the layers it needs.

    A plain listener has no layer: the event loop calls the protocol directly.
    """

    def __init__(self, options: ServerOptions, build: Build, clock: Clock) -> None:
        self._options = options
        self._build = build
        self._clock = clock
        self.connect_rate = ConnectRate(options.connects_per_s_max, clock)
        self.handshakes = Handshakes(options.handshakes_max, clock)
        self.tls_files: list[TlsFiles] = []
        self._half_frames: HalfFrames | None = None
        self.explanations = Explanations(clock)
        self._refusal = Refusal()
        self._servers: list[asyncio.Server] = []
        self._is_renewal_wanted = asyncio.Event()
        self.descriptions: list[str] = []
        self.asks_who = False

    async def open(self) -> list[tuple[str, int]]:
        """Begin to listen; returns the bound addresses, in the order of the configuration.

        Raises:
            AddressUnavailable: a port is in use, or an address is not this machine's.
            TlsFilesInvalid: a certificate or what belongs to it can't be used.
        """
        # Wrong files are found before the first client is taken.
        factories = [self._factory(listener) for listener in self._options.listeners]
        return [
            await self._listen(listener, factory)
            for listener, factory in zip(self._options.listeners, factories, strict=True)
        ]

    async def _listen(self, listener: ListenerOptions, factory: Build) -> tuple[str, int]:
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                factory, listener.host, listener.port, backlog=self._options.backlog
            )
        except OSError as error:
            reason = (
                "the port is in use; choose another with --port, or stop what listens there"
                if error.errno == errno.EADDRINUSE
                else (error.strerror or str(error))
            )
            address = join_address(listener.host, listener.port)
            raise AddressUnavailable(f"can't listen on {address}: {reason}") from error
        self._servers.append(server)
        host, port = server.sockets[0].getsockname()[:2]
        words = describe(listener, asks_who=self.asks_who)
        self.descriptions.append(f"{join_address(host, port)} ({words})")
        if self.asks_who and listener.tls is None and not is_loopback(host):
            LOG.warning("%s: keys pass there in clear; use TLS", join_address(host, port))
        return host, port

    # -- what a connection goes through

    def _factory(self, listener: ListenerOptions) -> Build:
        """How to make the protocol of an accepted connection: the outermost layer of it."""
        build = self._build
        if listener.kind == "ws":
            build = self._over_websocket(listener, build)
        if listener.tls is not None:
            build = self._over_tls(TlsFiles(listener.tls), build)
        if listener.proxy_protocol:
            build = _behind_a_balancer(build)
        is_bare = not (listener.kind == "ws" or listener.tls or listener.proxy_protocol)
        refuse = self._explain if is_bare else lambda: self._refusal
        rate = self.connect_rate
        return lambda: build() if rate.admit() else refuse()

    def _explain(self) -> asyncio.Protocol:
        """What a connection beyond the rate meets where MQTT is spoken at once."""
        if not self.explanations.has_room:
            return self._refusal
        return Explanation(self.explanations, self.connect_rate.spread_s)

    def _over_tls(self, files: TlsFiles, build: Build) -> Build:
        self.tls_files.append(files)
        return lambda: TlsLayer(build(), lambda: files.context, self.handshakes)

    def _over_websocket(self, listener: ListenerOptions, build: Build) -> Build:
        # Imported here: most gateways have no such listener, and the package is not small.
        from gateway.server.listeners.upgrade import MESSAGE_SLACK_BYTES, Wanted
        from gateway.server.listeners.websocket import HalfFrames, WebSocketLayer

        half_frames = self._half_frames
        if half_frames is None:
            half_frames = self._half_frames = HalfFrames(
                self._clock, self._options.packet_within_ms
            )
        message_bytes_max = self._options.session.packet_bytes_max + MESSAGE_SLACK_BYTES
        wanted = Wanted(listener.path, listener.origins, message_bytes_max)
        return lambda: WebSocketLayer(build(), wanted, half_frames)

    # -- while it runs

    def sweep(self) -> None:
        """Look after half frames, and tell what was refused; called about once a second."""
        if self._half_frames is not None:
            self._half_frames.sweep()
        self.connect_rate.tell()
        self.explanations.sweep()
        self.handshakes.tell()

    def renew(self) -> None:
        """Read every certificate, key, CA and CRL again, soon; nobody is disconnected."""
        self._is_renewal_wanted.set()

    async def watch(self) -> None:
        """Renew what has changed on disk, for ever."""
        while True:
            try:
                await asyncio.wait_for(self._is_renewal_wanted.wait(), LOOK_S)
            except TimeoutError:
                await self.look()
            else:
                self._is_renewal_wanted.clear()
                await self.look(is_forced=True)

    async def look(self, *, is_forced: bool = False) -> None:
        """Look at the files of every TLS listener once, in a thread."""
        for files in self.tls_files:
            await asyncio.to_thread(files.look, is_forced=is_forced)

    def close(self) -> None:
        """Listen no more; connections that are there stay."""
        for server in self._servers:
            server.close()

    def end(self) -> None:
        """End the threads, when all connections are closed."""
        self.handshakes.close()


def _behind_a_balancer(build: Build) -> Build:
    return lambda: AnnouncedLayer(build())


def describe(listener: ListenerOptions, *, asks_who: bool = False) -> str:
    """What a listener speaks and whom it lets in, for people.

    `asks_who` says that the gateway wants credentials, whichever way a client comes.
    """
    protocol = "MQTT" if listener.kind == "mqtt" else f"MQTT over WebSocket at {listener.path}"
    words = [f"{protocol} over TLS" if listener.tls else protocol]
    if listener.proxy_protocol:
        words.append("behind a PROXY-protocol balancer")
    if listener.tls is not None and listener.tls.client_certificates != "none":
        words.append(f"client certificates {listener.tls.client_certificates}")
    if asks_who:
        words.append("with credentials")
    elif not listener.asks_who:
        words.append("anonymous, this machine only")
    return ", ".join(words)
